#include "base/fields.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json.h"
#include "base/try.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxChoice = 256;     // Bytes of a name.
constexpr std::size_t kMaxPairText = 4096;  // Bytes of a name or a value.

std::string KeyOf(const Field& field) {
  return std::string(field.name) + (field.kind == FieldKind::kTime ? "_ms" : "");
}

std::span<const Field> RowsOf(const Field& field) { return {field.rows, field.row_count}; }

Json ValueToJson(const Field& field, void* member) {
  switch (field.kind) {
    case FieldKind::kFlag:
      return field.load(member) != 0;
    case FieldKind::kChoice:
      return field.choice(field.load(member));
    case FieldKind::kText:
      return *static_cast<const std::string*>(member);
    case FieldKind::kPath:
      return static_cast<const std::filesystem::path*>(member)->native();
    case FieldKind::kPairs:
      return *static_cast<const std::map<std::string, std::string>*>(member);
    case FieldKind::kStruct:
      return FieldsToJson(RowsOf(field), member);
    case FieldKind::kOptional:
      return FieldsToJson(RowsOf(field), field.element(member, 0));
    case FieldKind::kList: {
      Json list = Json::array();
      for (std::size_t i = 0; i < field.size(member); ++i) {
        list.push_back(FieldsToJson(RowsOf(field), field.element(member, i)));
      }
      return list;
    }
    default:
      return field.load(member);
  }
}

bool IsUnset(const Field& field, const void* member) {
  if (field.kind == FieldKind::kOptional) return field.size(member) == 0;
  return field.load != nullptr && field.load(member) == kUnset;
}

Status ReadText(const Field& field, const Json& json, void* member) {
  PYRO_ASSIGN_OR_RETURN(std::string text,
                        GetString(json, field.name, static_cast<std::size_t>(field.most)));
  if (field.kind == FieldKind::kText) {
    *static_cast<std::string*>(member) = std::move(text);
    return OkStatus();
  }
  if (text.empty() ? field.least > 0 : text.front() != '/') {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is not an absolute path", field.name));
  }
  *static_cast<std::filesystem::path*>(member) = std::move(text);
  return OkStatus();
}

Status ReadPairs(const Field& field, const Json& json, void* member) {
  const auto found = json.is_object() ? json.find(field.name) : json.end();
  if (found == json.end() || !found->is_object() ||
      found->size() > static_cast<std::uint64_t>(field.most)) {
    return MalformedMessage(
        fmt::format("'{}' is missing, of the wrong type or too large", field.name));
  }
  std::map<std::string, std::string> pairs;
  for (const auto& [name, value] : found->items()) {
    if (name.size() > kMaxPairText) return MalformedMessage(fmt::format("a long '{}'", field.name));
    PYRO_ASSIGN_OR_RETURN(pairs[name], GetString(*found, name.c_str(), kMaxPairText));
  }
  *static_cast<std::map<std::string, std::string>*>(member) = std::move(pairs);
  return OkStatus();
}

Status ReadParts(const Field& field, const Json& json, void* member) {
  const auto found = json.is_object() ? json.find(field.name) : json.end();
  const bool list = field.kind == FieldKind::kList;
  if (found == json.end() || !(list ? found->is_array() : found->is_object())) {
    return MalformedMessage(fmt::format("'{}' is missing or of the wrong type", field.name));
  }
  if (field.kind == FieldKind::kStruct) return ReadFields(RowsOf(field), *found, member);
  if (!list) return ReadFields(RowsOf(field), *found, field.append(member));
  if (found->size() > static_cast<std::uint64_t>(field.most)) {
    return MalformedMessage(fmt::format("'{}' has more than {} elements", field.name, field.most));
  }
  for (const Json& element : *found) {
    PYRO_RETURN_IF_ERROR(ReadFields(RowsOf(field), element, field.append(member)));
  }
  return OkStatus();
}

Status ReadScalar(const Field& field, const Json& json, void* member) {
  std::int64_t value = 0;
  if (field.kind == FieldKind::kFlag) {
    PYRO_ASSIGN_OR_RETURN(value, GetBool(json, field.name));
  } else if (field.kind == FieldKind::kChoice) {
    PYRO_ASSIGN_OR_RETURN(const std::string name, GetString(json, field.name, kMaxChoice));
    const auto choice = ChoiceOf(field, name);
    if (!choice) return MalformedMessage("unknown " + InWords(field));
    value = *choice;
  } else {
    PYRO_ASSIGN_OR_RETURN(value, GetInt(json, KeyOf(field), field.least, field.most));
  }
  if (!StoreNumber(field, value, member)) {
    return MalformedMessage(fmt::format("'{}' is out of range", KeyOf(field)));
  }
  return OkStatus();
}

}  // namespace

Error MalformedMessage(std::string_view what) {
  return MakeError(ErrorCode::kProtocol, fmt::format("malformed message: {}", what));
}

Json FieldsToJson(std::span<const Field> rows, const void* object) {
  Json json = Json::object();
  for (const Field& field : rows) {
    void* const member = field.at(const_cast<void*>(object));
    if (!IsUnset(field, member)) json[KeyOf(field)] = ValueToJson(field, member);
  }
  return json;
}

Status ReadFields(std::span<const Field> rows, const Json& json, void* object) {
  for (const Field& field : rows) {
    if (field.optional && !json.contains(KeyOf(field))) continue;
    const bool text = field.kind == FieldKind::kText || field.kind == FieldKind::kPath;
    const auto read = field.load != nullptr             ? &ReadScalar
                      : text                            ? &ReadText
                      : field.kind == FieldKind::kPairs ? &ReadPairs
                                                        : &ReadParts;
    PYRO_RETURN_IF_ERROR(read(field, json, field.at(object)));
  }
  return OkStatus();
}

bool StoreNumber(const Field& field, std::int64_t value, void* member) {
  if (value < field.least || value > field.most || value == kUnset) return false;
  field.store(member, value);
  return field.load(member) == value;
}

std::optional<std::int64_t> ChoiceOf(const Field& field, std::string_view name) {
  for (std::int64_t value = 0; !field.choice(value).empty(); ++value) {
    if (field.choice(value) == name) return value;
  }
  return std::nullopt;
}

std::string InWords(const Field& field) {
  std::string words = field.name;
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

}  // namespace pyro
