#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "mcp/protocol/message.h"
#include "mcp/testing/fixture.h"

namespace pyro::mcp::testing {
namespace {

Json NameSchema() {
  return FixtureJson(
      R"({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})");
}

Json OkSchema() {
  return FixtureJson(
      R"({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]})");
}

Json AnySchema() { return FixtureJson(R"({"type": "object", "properties": {}})"); }

InputRequest Sampling(const std::string& prompt) {
  Json params = FixtureJson(R"({"messages": [{"role": "user", "content": {"type": "text"}}],
                                "maxTokens": 100})");
  params["messages"][0]["content"]["text"] = prompt;
  return Sample(std::move(params));
}

std::string ContentOf(const Json& answer, std::string_view key) {
  const Json* content = Find(answer, "content");
  return content == nullptr ? std::string() : StringOr(*content, key);
}

std::string SampledText(const Json& answer) { return ContentOf(answer, "text"); }

// A tool that asks once and puts the answers into its text.
using Describe = std::function<std::string(const InputAnswers& answers)>;
Tool Asking(std::string name, InputRequests requests, Describe describe) {
  Tool tool;
  tool.name = std::move(name);
  tool.description = "Asks the client.";
  tool.input_schema = AnySchema();
  tool.handler = [requests = std::move(requests), describe = std::move(describe)](
                     CallContext& call, const Json&) -> Result<ToolResult> {
    PYRO_ASSIGN_OR_RETURN(const InputAnswers answers, call.RequestInput(requests));
    return ToolResult::Text(describe(answers));
  };
  return tool;
}

Tool WithString(Tool tool, const std::string& argument) {
  tool.input_schema["properties"][argument]["type"] = "string";
  tool.input_schema["required"] = Json::array({argument});
  return tool;
}

std::string Accepted(const InputAnswers& answers) {
  return fmt::format("User response: {}", ToJsonLine(Json(answers)));
}

Result<ToolResult> SampleOnce(CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const InputAnswers answers,
                        call.RequestInput({{"sampling", Sampling(StringOr(arguments, "prompt"))}}));
  return ToolResult::Text("LLM response: " + SampledText(answers.at("sampling")));
}

Result<ToolResult> ElicitOnce(CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(
      const InputAnswers answers,
      call.RequestInput({{"elicitation", Elicit(StringOr(arguments, "message"), AnySchema())}}));
  return ToolResult::Text(Accepted(answers));
}

Result<ToolResult> Rounds(CallContext& call, const Json&) {
  PYRO_ASSIGN_OR_RETURN(const InputAnswers first,
                        call.RequestInput({{"step1", Elicit("Your name?", NameSchema())}}));
  PYRO_ASSIGN_OR_RETURN(const InputAnswers second,
                        call.RequestInput({{"step2", Elicit("Your favourite?", AnySchema())}}));
  return ToolResult::Text(fmt::format("{} chose {}", ContentOf(first.at("step1"), "name"),
                                      ToJsonLine(second.at("step2"))));
}

Result<ToolResult> WhatTheClientCan(CallContext& call, const Json&) {
  InputRequests requests;
  if (call.HasCapability("elicitation")) requests["elicitation"] = Elicit("Well?", OkSchema());
  if (call.HasCapability("sampling")) requests["sampling"] = Sampling("Say something.");
  if (call.HasCapability("roots")) requests["roots"] = ListRoots();
  if (requests.empty()) return ToolResult::Text("The client can be asked nothing.");
  PYRO_ASSIGN_OR_RETURN(const InputAnswers answers, call.RequestInput(requests));
  return ToolResult::Text(Accepted(answers));
}

const char* const kDefaults = R"({"type": "object", "properties": {
  "name": {"type": "string", "description": "User name", "default": "John Doe"},
  "age": {"type": "integer", "description": "User age", "default": 30},
  "score": {"type": "number", "description": "User score", "default": 95.5},
  "status": {"type": "string", "description": "User status",
             "enum": ["active", "inactive", "pending"], "default": "active"},
  "verified": {"type": "boolean", "description": "Verification status", "default": true}},
  "required": []})";

const char* const kEnums = R"({"type": "object", "properties": {
  "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
  "titledSingle": {"type": "string", "oneOf": [{"const": "value1", "title": "First Option"},
    {"const": "value2", "title": "Second Option"}, {"const": "value3", "title": "Third Option"}]},
  "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"],
    "enumNames": ["Option One", "Option Two", "Option Three"]},
  "untitledMulti": {"type": "array", "minItems": 1, "maxItems": 3,
    "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
  "titledMulti": {"type": "array", "minItems": 1, "maxItems": 3,
    "items": {"anyOf": [{"const": "value1", "title": "First Choice"},
      {"const": "value2", "title": "Second Choice"}, {"const": "value3", "title": "Third Choice"}]}}},
  "required": []})";

Tool Named(std::string name, ToolHandler handler) {
  Tool tool = Asking(std::move(name), {}, Accepted);
  tool.handler = std::move(handler);
  return tool;
}

void AddLegacyInputTools(Server& server) {
  MustAdd(server.AddTool(WithString(Named("test_sampling", SampleOnce), "prompt")));
  MustAdd(server.AddTool(WithString(Named("test_elicitation", ElicitOnce), "message")));
  MustAdd(server.AddTool(
      Asking("test_elicitation_sep1034_defaults",
             {{"form", Elicit("Please review the values", FixtureJson(kDefaults))}}, Accepted)));
  MustAdd(
      server.AddTool(Asking("test_elicitation_sep1330_enums",
                            {{"form", Elicit("Please choose", FixtureJson(kEnums))}}, Accepted)));
}

}  // namespace

void AddInputTools(Server& server) {
  AddLegacyInputTools(server);
  const std::string prefix = "test_input_required_result_";
  MustAdd(server.AddTool(
      Asking(prefix + "elicitation", {{"user_name", Elicit("What is your name?", NameSchema())}},
             [](const InputAnswers& answers) {
               return fmt::format("Hello, {}!", ContentOf(answers.at("user_name"), "name"));
             })));
  MustAdd(server.AddTool(Asking(prefix + "sampling", {{"capital", Sampling("Capital of France?")}},
                                [](const InputAnswers& answers) {
                                  return "LLM response: " + SampledText(answers.at("capital"));
                                })));
  MustAdd(server.AddTool(Asking(prefix + "list_roots", {{"roots", ListRoots()}}, Accepted)));
  MustAdd(server.AddTool(Asking(prefix + "request_state",
                                {{"confirm", Elicit("Please confirm", OkSchema())}},
                                [](const InputAnswers&) { return std::string("state-ok"); })));
  MustAdd(server.AddTool(Asking(prefix + "tampered_state",
                                {{"confirm", Elicit("Please confirm", OkSchema())}},
                                [](const InputAnswers&) { return std::string("state-ok"); })));
  MustAdd(server.AddTool(Asking(prefix + "multiple_inputs",
                                {{"user_name", Elicit("What is your name?", NameSchema())},
                                 {"greeting", Sampling("Greet the user.")},
                                 {"roots", ListRoots()}},
                                Accepted)));
  MustAdd(server.AddTool(Named(prefix + "multi_round", Rounds)));
  MustAdd(server.AddTool(Named(prefix + "capabilities", WhatTheClientCan)));
}

}  // namespace pyro::mcp::testing
