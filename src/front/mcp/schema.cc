#include "front/mcp/schema.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "pyro/types.h"

namespace pyro::mcp_server {
namespace {

Json Typed(std::string_view type, std::string_view description) {
  return {{"type", type}, {"description", description}};
}

}  // namespace

Json TextSchema(std::string_view description) { return Typed("string", description); }

Json ChoiceSchema(std::string_view description, const std::vector<std::string_view>& choices) {
  Json schema = Typed("string", description);
  schema["enum"] = choices;
  return schema;
}

Json IntegerSchema(std::string_view description, std::int64_t minimum, std::int64_t maximum) {
  Json schema = Typed("integer", description);
  schema["minimum"] = minimum;
  schema["maximum"] = maximum;
  return schema;
}

Json NumberSchema(std::string_view description, double minimum, double maximum) {
  Json schema = Typed("number", description);
  schema["minimum"] = minimum;
  schema["maximum"] = maximum;
  return schema;
}

Json FlagSchema(std::string_view description) { return Typed("boolean", description); }

Json WithDefault(Json schema, Json value) {
  schema["default"] = std::move(value);
  return schema;
}

Json CommandSchema(std::string_view description) {
  const Json words = {{"type", "array"}, {"items", {{"type", "string"}}}, {"minItems", 1U}};
  return {{"description", description}, {"anyOf", Json::array({{{"type", "string"}}, words})}};
}

Json InputSchema(const Properties& properties, const std::vector<std::string>& required) {
  Json schema = {
      {"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
  for (const auto& [name, property] : properties) schema["properties"][name] = property;
  if (!required.empty()) schema["required"] = required;
  return schema;
}

Json OutputSchema(std::string_view fields) {
  Json schema = {{"type", "object"}, {"properties", Json::object()}};
  for (const std::string_view field : Split(fields, ' ')) {
    const std::string name(field.substr(0, field.find_first_of("!:")));
    const std::size_t colon = std::min(field.find(':'), field.size() - 1);
    schema["properties"][name]["type"] =
        field[colon] == ':' ? field.substr(colon + 1) : std::string_view("string");
    if (field.find('!') != std::string_view::npos) schema["required"].push_back(name);
  }
  return schema;
}

Json WithoutNulls(Json value) {
  if (value.is_object()) {
    for (auto member = value.begin(); member != value.end();) {
      if (member->is_null()) {
        member = value.erase(member);
      } else {
        *member = WithoutNulls(std::move(*member));
        ++member;
      }
    }
  } else if (value.is_array()) {
    for (Json& item : value) item = WithoutNulls(std::move(item));
  }
  return value;
}

}  // namespace pyro::mcp_server
