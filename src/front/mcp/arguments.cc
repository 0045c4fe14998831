#include "front/mcp/arguments.h"

#include <filesystem>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/json.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::mcp_server {

namespace {

using api::Field;
using api::Kind;

const char* TextOf(const Field& field) {
  return field.for_models != nullptr ? field.for_models : field.sentence;
}

Json IntegerOf(const api::Member& member) {
  const Field& field = member.field;
  Json schema = IntegerSchema(TextOf(field), field.least, field.most);
  if (field.least == api::kNoLeast) schema.erase("minimum");
  if (field.most == api::kNoMost) schema.erase("maximum");
  const std::int64_t fallback = field.load(member.fallback);
  const bool tells = !field.required && fallback != 0 && fallback >= field.least;
  return tells ? WithDefault(std::move(schema), fallback) : schema;
}

Json PropertyOf(const api::Member& member) {
  const Field& field = member.field;
  switch (field.kind) {
    case Kind::kInteger:
    case Kind::kUnsigned:
      return IntegerOf(member);
    case Kind::kDuration:
      return NumberSchema(TextOf(field), static_cast<double>(field.least),
                          static_cast<double>(field.most));
    case Kind::kFlag:
      return WithDefault(FlagSchema(TextOf(field)), field.load(member.fallback) != 0);
    case Kind::kTexts:
      return {{"type", "array"}, {"items", {{"type", "string"}}}, {"description", TextOf(field)}};
    case Kind::kChoice:
      return ChoiceSchema(TextOf(field), api::ChoicesOf(field));
    case Kind::kCommand:
      return CommandSchema(TextOf(field));
    default:
      break;
  }
  Json schema = TextSchema(TextOf(field));
  if (field.default_for_models == nullptr) return schema;
  return WithDefault(std::move(schema), field.default_for_models);
}

// A client does not know the server's own directory.
Status CheckHostPath(const Field& field, const std::string& path) {
  if (path.empty() || std::filesystem::path(path).is_absolute()) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("{} '{}' is not absolute", field.name, Printable(path, 200)),
                   "give a path on this host that begins with /");
}

}  // namespace

Json SchemaOf(const api::Struct& rows, bool host_paths) {
  Properties properties;
  std::vector<std::string> required;
  for (const api::Member& member : api::MembersOf(rows)) {
    const Field& field = member.field;
    if (field.host_path && !host_paths) continue;
    properties.emplace_back(field.name, PropertyOf(member));
    if (field.required && field.default_for_models == nullptr) required.emplace_back(field.name);
  }
  return InputSchema(properties, required);
}

Status ReadArguments(const api::Struct& rows, const Json& arguments, void* object) {
  Json given = arguments;
  for (const api::Member& member : api::MembersOf(rows)) {
    const Field& field = member.field;
    if (field.default_for_models != nullptr && !given.contains(field.name)) {
      given[field.name] = field.default_for_models;
    }
  }
  PYRO_RETURN_IF_ERROR(api::FromJson(rows, given, object, api::Unknown::kIgnored));
  for (const api::Member& member : api::MembersOf(rows, object)) {
    if (!member.field.host_path || member.field.kind != Kind::kText) continue;
    PYRO_RETURN_IF_ERROR(
        CheckHostPath(member.field, *static_cast<const std::string*>(member.value)));
  }
  return OkStatus();
}

Status CheckNoneEmpty(const Json& arguments) {
  for (const auto& [name, value] : arguments.items()) {
    if (value.is_string() && value.get_ref<const std::string&>().empty()) {
      return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} is empty", name),
                       "give it a value; an optional argument may be left out instead");
    }
  }
  return OkStatus();
}

}  // namespace pyro::mcp_server
