#include "mcp_server/schema.h"

#include <utility>

#include "pyro/types.h"

namespace pyro::mcp_server {
namespace {

Json Typed(std::string_view type, std::string_view description) {
  return {{"type", type}, {"description", description}};
}

Json ObjectSchema(const Properties& properties, const std::vector<std::string>& required) {
  Json schema = {{"type", "object"}, {"properties", Json::object()}};
  for (const auto& [name, property] : properties) schema["properties"][name] = property;
  if (!required.empty()) schema["required"] = required;
  return schema;
}

}  // namespace

Json TextSchema(std::string_view description) { return Typed("string", description); }

Json ChoiceSchema(std::string_view description, const std::vector<std::string>& choices) {
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

Json CountSchema(std::string_view description) {
  Json schema = Typed("integer", description);
  schema["minimum"] = 0;
  return schema;
}

Json NumberSchema(std::string_view description, double minimum, double maximum) {
  Json schema = Typed("number", description);
  schema["minimum"] = minimum;
  schema["maximum"] = maximum;
  return schema;
}

Json FlagSchema(std::string_view description) { return Typed("boolean", description); }

Json ListSchema(std::string_view description, Json items) {
  Json schema = Typed("array", description);
  schema["items"] = std::move(items);
  return schema;
}

Json WithDefault(Json schema, Json value) {
  schema["default"] = std::move(value);
  return schema;
}

Json CommandSchema() {
  Json words =
      ListSchema("The words of one program call, run without a shell.", {{"type", "string"}});
  words["minItems"] = 1U;
  Json script = TextSchema("A line or script for the guest's /bin/sh -c; pipes and && work.");
  script["minLength"] = 1U;
  return {
      {"description",
       "What to run: a string for /bin/sh -c, such as \"make && make test\", or a list of words "
       "run without a shell, such as [\"git\", \"status\"]."},
      {"anyOf", Json::array({script, words})}};
}

Json InputSchema(const Properties& properties, const std::vector<std::string>& required) {
  Json schema = ObjectSchema(properties, required);
  schema["additionalProperties"] = false;
  return schema;
}

Json OutputSchema(const Properties& properties, const std::vector<std::string>& required) {
  return ObjectSchema(properties, required);
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
