#include "api/field.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::api {
namespace {

bool HasItself(const Struct& rows, std::string_view name) {
  return std::any_of(rows.fields.begin(), rows.fields.end(), [&](const Field& field) {
    return field.kind != Kind::kInline && name == field.name;
  });
}

// `outers`: the structs into which this one is inlined.
void Collect(const Struct& rows, void* object, void* fallback,
             const std::vector<const Struct*>& outers, std::vector<Member>& members) {
  for (const Field& field : rows.fields) {
    if (field.kind == Kind::kInline) {
      std::vector<const Struct*> inner = outers;
      inner.push_back(&rows);
      Collect(field.rows(), field.at(object), field.at(fallback), inner, members);
      continue;
    }
    const bool hidden = field.kind == Kind::kAbsent ||
                        std::any_of(outers.begin(), outers.end(), [&](const Struct* outer) {
                          return HasItself(*outer, field.name);
                        });
    if (!hidden) members.push_back({field, field.at(object), field.at(fallback)});
  }
}

}  // namespace

std::vector<Member> MembersOf(const Struct& rows, const void* object) {
  std::vector<Member> members;
  // One accessor serves objects that may be changed and those that may not.
  Collect(rows, const_cast<void*>(object), const_cast<void*>(rows.defaults), {}, members);
  return members;
}

std::vector<Member> MembersOf(const Struct& rows) { return MembersOf(rows, rows.defaults); }

std::vector<std::string_view> ChoicesOf(const Field& field) {
  std::vector<std::string_view> names;
  for (std::int64_t value = 0; value == 0 || !field.choice(value).empty(); ++value) {
    names.push_back(field.choice(value));
  }
  return names;
}

Status CheckText(const Field& field, const std::string& value) {
  const auto bytes = static_cast<std::int64_t>(value.size());
  // JSON, and with it a task's manifest, would replace each such byte by three.
  if (field.most != kNoMost && !IsUtf8(value)) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} is not UTF-8", field.name),
                     "give it as UTF-8 text");
  }
  // A name stands in lines and tables of terminals, where it must look like itself.
  const std::string hidden = field.most != kNoMost ? HiddenCharacter(value) : "";
  if (!hidden.empty()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{} holds the character {}", field.name, hidden),
                     "give it without control and format characters");
  }
  if (bytes <= field.most) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} has {} bytes", field.name, bytes),
                   fmt::format("{} takes at most {}", field.name, field.most));
}

Status CheckRange(std::string_view name, std::int64_t value, std::int64_t least,
                  std::int64_t most) {
  if (value >= least && value <= most) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} is {}", name, value),
                   most == kNoMost ? fmt::format("{} takes {} and more", name, least)
                                   : fmt::format("{} takes {} to {}", name, least, most));
}

Status CheckRanges(const Struct& rows, const void* object) {
  for (const auto& [field, value, fallback] : MembersOf(rows, object)) {
    if (field.kind == Kind::kText)
      PYRO_RETURN_IF_ERROR(CheckText(field, *static_cast<const std::string*>(value)));
    if (field.kind != Kind::kInteger && field.kind != Kind::kUnsigned) continue;
    if (field.load(value) == kUnset) continue;
    PYRO_RETURN_IF_ERROR(CheckRange(field.name, field.load(value), field.least, field.most));
  }
  return OkStatus();
}

}  // namespace pyro::api
