#include "api/json.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/try.h"

namespace pyro {
namespace api {
namespace {

constexpr double kMaxSeconds = 1e9;

Json CommandJson(const Command& command) {
  return command.script ? Json(*command.script) : Json(command.argv);
}

Error NotOfType(const Field& field, std::string_view type) {
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} is not {}", field.name, type));
}

Status ReadNumber(const Field& field, const Json& json, void* value) {
  // 3.0 is an integer, too.
  const bool whole =
      json.is_number_integer() || (json.is_number_float() && std::abs(json.get<double>()) < 9e15 &&
                                   json.get<double>() == std::trunc(json.get<double>()));
  if (!whole) return NotOfType(field, "a whole number");
  const std::int64_t number =
      json.is_number_float() ? std::llround(json.get<double>()) : json.get<std::int64_t>();
  if (field.kind == Kind::kUnsigned && number < 0) return NotOfType(field, "0 or more");
  PYRO_RETURN_IF_ERROR(CheckRange(field.name, number, field.least, field.most));
  field.store(value, number);
  return OkStatus();
}

Status ReadDuration(const Field& field, const Json& json, void* value) {
  if (!json.is_number() || json.get<double>() < 0 || json.get<double>() > kMaxSeconds) {
    return NotOfType(field, "a number of seconds");
  }
  field.store(value, std::llround(json.get<double>() * 1000));
  return OkStatus();
}

Status ReadChoice(const Field& field, const Json& json, void* value) {
  if (!json.is_string()) return NotOfType(field, "a text");
  const std::vector<std::string_view> names = ChoicesOf(field);
  const auto found = std::find(names.begin(), names.end(), json.get_ref<const std::string&>());
  if (found == names.end()) {
    return NotOfType(field, fmt::format("one of {}", fmt::join(names, ", ")));
  }
  field.store(value, found - names.begin());
  return OkStatus();
}

std::optional<std::vector<std::string>> Texts(const Json& json) {
  if (!json.is_array()) return std::nullopt;
  std::vector<std::string> texts;
  for (const Json& one : json) {
    if (!one.is_string()) return std::nullopt;
    texts.push_back(one.get<std::string>());
  }
  return texts;
}

Status ReadTexts(const Field& field, const Json& json, void* value) {
  auto texts = Texts(json);
  if (field.kind == Kind::kTexts) {
    if (!texts) return NotOfType(field, "a list of texts");
    *static_cast<std::vector<std::string>*>(value) = std::move(*texts);
    return OkStatus();
  }
  if (!texts && !json.is_string()) return NotOfType(field, "a text or a list of texts");
  Command& command = *static_cast<Command*>(value);
  command.script.reset();
  command.argv.clear();
  if (texts) command.argv = std::move(*texts);
  if (!texts) command.script = json.get<std::string>();
  return OkStatus();
}

Status ReadPairs(const Field& field, const Json& json, void* value) {
  if (!json.is_object()) return NotOfType(field, "an object of texts");
  std::map<std::string, std::string> pairs;
  for (const auto& [name, text] : json.items()) {
    if (!text.is_string()) return NotOfType(field, "an object of texts");
    pairs[name] = text.get<std::string>();
  }
  *static_cast<std::map<std::string, std::string>*>(value) = std::move(pairs);
  return OkStatus();
}

Status ReadStructs(const Field& field, const Json& json, void* value) {
  if (field.kind == Kind::kOptional) return FromJson(field.rows(), json, field.append(value));
  if (!json.is_array()) return NotOfType(field, "a list");
  for (const Json& one : json) {
    PYRO_RETURN_IF_ERROR(FromJson(field.rows(), one, field.append(value)));
  }
  return OkStatus();
}

Status Read(const Field& field, const Json& json, void* value) {
  switch (field.kind) {
    case Kind::kText:
      if (!json.is_string()) return NotOfType(field, "a text");
      // Here and not by the engine alone, which may build an environment before.
      PYRO_RETURN_IF_ERROR(CheckText(field, json.get_ref<const std::string&>()));
      *static_cast<std::string*>(value) = json.get<std::string>();
      return OkStatus();
    case Kind::kFlag:
      if (!json.is_boolean()) return NotOfType(field, "true or false");
      field.store(value, json.get<bool>() ? 1 : 0);
      return OkStatus();
    case Kind::kInteger:
    case Kind::kUnsigned:
      return ReadNumber(field, json, value);
    case Kind::kChoice:
      return ReadChoice(field, json, value);
    case Kind::kDuration:
      return ReadDuration(field, json, value);
    case Kind::kPairs:
      return ReadPairs(field, json, value);
    case Kind::kTexts:
    case Kind::kCommand:
      return ReadTexts(field, json, value);
    case Kind::kOptional:
    case Kind::kList:
      return ReadStructs(field, json, value);
    default:
      return FromJson(field.rows(), json, value);
  }
}

Status CheckNames(const std::vector<Member>& members, const Json& document) {
  for (const auto& item : document.items()) {
    const std::string& name = item.key();
    const bool known = std::any_of(members.begin(), members.end(), [&](const Member& member) {
      const char* count = member.field.count;
      return name == member.field.name || (count != nullptr && name == count);
    });
    if (!known) {
      return MakeError(ErrorCode::kInvalidArgument, fmt::format("there is no field '{}'", name));
    }
  }
  return OkStatus();
}

bool IsUnset(const Member& member) {
  return ToJson(member.field, member.value) == ToJson(member.field, member.fallback);
}

}  // namespace

Json ToJson(const Field& field, const void* value) {
  switch (field.kind) {
    case Kind::kText:
      return *static_cast<const std::string*>(value);
    case Kind::kTexts:
      return *static_cast<const std::vector<std::string>*>(value);
    case Kind::kPairs: {
      Json pairs = Json::object();
      for (const auto& [name, text] :
           *static_cast<const std::map<std::string, std::string>*>(value)) {
        pairs[name] = text;
      }
      return pairs;
    }
    case Kind::kInteger:
      return field.load(value) == kUnset ? Json() : Json(field.load(value));
    case Kind::kUnsigned:
      return static_cast<std::uint64_t>(field.load(value));
    case Kind::kFlag:
      return field.load(value) != 0;
    case Kind::kChoice:
      return field.choice(field.load(value));
    case Kind::kDuration:
      return std::chrono::duration<double>(std::chrono::milliseconds(field.load(value))).count();
    case Kind::kCommand:
      return CommandJson(*static_cast<const Command*>(value));
    case Kind::kOptional:
    case Kind::kList: {
      Json list = Json::array();
      for (std::size_t i = 0; i < field.size(value); ++i) {
        list.push_back(ToJson(field.rows(), field.element(const_cast<void*>(value), i)));
      }
      if (field.kind == Kind::kList) return list;
      return list.empty() ? Json() : std::move(list[0]);
    }
    default:
      return ToJson(field.rows(), value);
  }
}

Json ToJson(const Struct& rows, const void* object) {
  const std::vector<Member> members = MembersOf(rows, object);
  Json form = Json::object();
  for (const Member& member : members) {
    const Field& field = member.field;
    if (field.presence == Presence::kLeftOut && IsUnset(member)) continue;
    const auto other = std::find_if(members.begin(), members.end(), [&](const Member& one) {
      return field.null_unless != nullptr && std::string_view(field.null_unless) == one.field.name;
    });
    const bool null = (field.presence == Presence::kNull && IsUnset(member)) ||
                      (other != members.end() && IsUnset(*other));
    Json value = null ? Json() : ToJson(field, member.value);
    if (field.count != nullptr) form[field.count] = value.size();
    form[field.name] = std::move(value);
  }
  return form;
}

Status FromJson(const Struct& rows, const Json& document, void* object, Unknown unknown) {
  if (!document.is_object()) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} is not an object", rows.name));
  }
  const std::vector<Member> members = MembersOf(rows, object);
  if (unknown == Unknown::kRefused) PYRO_RETURN_IF_ERROR(CheckNames(members, document));
  for (const Member& member : members) {
    const auto found = document.find(member.field.name);
    if (found == document.end() || found->is_null()) {
      if (!member.field.required) continue;
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("{} is missing", member.field.name));
    }
    PYRO_RETURN_IF_ERROR(Read(member.field, *found, member.value));
  }
  return OkStatus();
}

}  // namespace api

Json ToJson(const Error& error) {
  Json told = {{"code", ErrorCodeName(error.code)},
               {"message", error.message},
               {"hint", error.hint.empty() ? Json() : Json(error.hint)}};
  if (!error.path.empty()) told["path"] = error.path;
  return {{"error", std::move(told)}};
}

}  // namespace pyro
