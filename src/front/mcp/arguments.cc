#include "front/mcp/arguments.h"

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "api/json.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::mcp_server {

namespace {

using api::Field;
using api::Kind;

constexpr std::int64_t kTellingLeast = 1;
constexpr std::int64_t kTellingMost = 100'000;

// Only what every client understands: no $ref, no lists of types, combinators only in properties.
// Every model reads it in each of its conversations, so it says what a name does not say, and no
// more.
Json PropertyOf(const api::Member& member) {
  const Field& field = member.field;
  Json schema = {{"type", "string"},
                 {"description", field.for_models != nullptr ? field.for_models : field.sentence}};
  // A bound that is never reached by chance would only cost tokens; the call itself checks it.
  if (field.least > kTellingLeast) schema["minimum"] = field.least;
  if (field.most <= kTellingMost && field.kind != Kind::kText) schema["maximum"] = field.most;
  if (field.default_for_models != nullptr) schema["default"] = field.default_for_models;
  switch (field.kind) {
    case Kind::kInteger:
    case Kind::kUnsigned: {
      schema["type"] = "integer";
      const std::int64_t fallback = field.load(member.fallback);
      const bool tells = !field.required && fallback != 0 && fallback >= field.least;
      if (tells) schema["default"] = fallback;
      if (field.usual != api::kNoLeast) schema["default"] = field.usual;
      break;
    }
    case Kind::kDuration:
      schema.update({{"type", "number"}, {"maximum", static_cast<double>(field.most)}});
      break;
    case Kind::kFlag:
      schema.update({{"type", "boolean"}, {"default", field.load(member.fallback) != 0}});
      break;
    case Kind::kTexts:
      schema.update({{"type", "array"}, {"items", {{"type", "string"}}}});
      break;
    case Kind::kPairs:
      schema.update({{"type", "object"}, {"additionalProperties", {{"type", "string"}}}});
      break;
    case Kind::kChoice:
      schema["enum"] = api::ChoicesOf(field);
      break;
    case Kind::kCommand: {
      Json words = {{"type", "array"}, {"items", {{"type", "string"}}}, {"minItems", 1U}};
      schema["anyOf"] = Json::array({{{"type", "string"}}, std::move(words)});
      schema.erase("type");
      break;
    }
    default:
      break;
  }
  return schema;
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
  Json schema = {
      {"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
  for (const api::Member& member : api::MembersOf(rows)) {
    const Field& field = member.field;
    if (field.not_for_models || (field.host_path && !host_paths)) continue;
    schema["properties"][field.name] = PropertyOf(member);
    if (field.required && field.default_for_models == nullptr) {
      schema["required"].push_back(field.name);
    }
  }
  return schema;
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
    const bool content = name == "text" || name == "base64" || name == "stdin";
    if (!content && value.is_string() && value.get_ref<const std::string&>().empty()) {
      return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} is empty", name),
                       "give it a value; an optional argument may be left out instead");
    }
  }
  return OkStatus();
}

}  // namespace pyro::mcp_server
