
#include <chrono>
#include <thread>
#include <utility>

#include "base/check.h"
#include "mcp/protocol/base64.h"
#include "mcp/testing/fixture.h"
#include "sys/wait_for.h"

namespace pyro::mcp::testing {
namespace {

constexpr std::chrono::milliseconds kStep{50};

const char* const kNoArguments = R"({"type": "object", "properties": {}})";

const char* const kWholeDialect = R"({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "$defs": {"address": {"$anchor": "addressDef", "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
  "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"},
    "contactMethod": {"type": "string", "enum": ["phone", "email"]},
    "phone": {"type": "string"}, "email": {"type": "string"}},
  "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
  "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
  "then": {"required": ["phone"]},
  "else": {"required": ["email"]},
  "additionalProperties": false})";

Tool Plain(std::string name, std::string description, ToolHandler handler) {
  Tool tool;
  tool.name = std::move(name);
  tool.description = std::move(description);
  tool.input_schema = FixtureJson(kNoArguments);
  tool.annotations = {
      .read_only = true, .destructive = false, .idempotent = true, .open_world = false};
  tool.handler = std::move(handler);
  return tool;
}

// A tool that always gives the same.
Tool Constant(std::string name, std::vector<Json> content) {
  return Plain(std::move(name), "Gives what the conformance suite expects.",
               [content = std::move(content)](CallContext&, const Json&) -> Result<ToolResult> {
                 ToolResult result;
                 result.content = content;
                 return result;
               });
}

// false: the call was cancelled meanwhile.
bool Pause(CallContext& call, std::chrono::milliseconds time) {
  return sys::WaitFor(call.cancel_fd(), POLLIN, Deadline::After(time)) == sys::Waited::kTimedOut;
}

Result<ToolResult> LogThrice(CallContext& call, const Json&) {
  for (const char* text :
       {"Tool execution started", "Tool processing data", "Tool execution done"}) {
    call.Log(LogLevel::kInfo, text);
    Pause(call, kStep);
  }
  return ToolResult::Text("Logged three messages.");
}

Result<ToolResult> ProgressThrice(CallContext& call, const Json&) {
  for (const double progress : {0.0, 50.0, 100.0}) {
    call.Progress(progress, 100, "working");
    Pause(call, kStep);
  }
  return ToolResult::Text("Reported progress.");
}

Result<ToolResult> ReleaseAndGoOn(CallContext& call, const Json&) {
  call.ReleaseConnection();
  Pause(call, std::chrono::milliseconds(100));
  return ToolResult::Text("Finished after the connection was closed.");
}

}  // namespace

Json FixtureJson(const char* text) {
  auto json = ParseJson(text);
  PYRO_CHECK(json.ok());
  return *std::move(json);
}

std::string FixtureBytes(const char* base64) {
  auto bytes = DecodeBase64(base64);
  PYRO_CHECK(bytes.has_value());
  return *std::move(bytes);
}

void MustAdd(const Status& status) { PYRO_CHECK(status.ok()); }

void AddAll(Server& server, const std::shared_ptr<MemoryTaskStore>& store) {
  AddContentTools(server);
  AddStreamTools(server);
  AddInputTools(server);
  AddTaskTools(server, *store);
  AddResources(server);
  AddPrompts(server);
  AddProbeTools(server);
  server.SetTaskStore(store);
}

void AddContentTools(Server& server) {
  const Json image = ImageContent(FixtureBytes(kPngBase64), "image/png");
  MustAdd(server.AddTool(
      Constant("test_simple_text", {TextContent("This is a simple text response for testing.")})));
  MustAdd(server.AddTool(Constant("test_image_content", {image})));
  MustAdd(server.AddTool(
      Constant("test_audio_content", {AudioContent(FixtureBytes(kWavBase64), "audio/wav")})));
  MustAdd(server.AddTool(Constant(
      "test_embedded_resource", {EmbeddedResource({.uri = "test://embedded-resource",
                                                   .mime_type = "text/plain",
                                                   .text = "This is an embedded resource content.",
                                                   .blob = {}})})));
  MustAdd(server.AddTool(Constant(
      "test_multiple_content_types",
      {TextContent("Multiple content types test:"), image,
       EmbeddedResource({.uri = "test://mixed-content-resource",
                         .mime_type = "application/json",
                         .text = ToJsonLine(FixtureJson(R"({"test": "data", "value": 123})")),
                         .blob = {}})})));
  MustAdd(server.AddTool(Plain("test_error_handling", "Fails, on purpose.",
                               [](CallContext&, const Json&) -> Result<ToolResult> {
                                 ToolResult result = ToolResult::Text(
                                     "This tool intentionally returns an error for testing");
                                 result.is_error = true;
                                 return result;
                               })));
  Tool dialect = Constant("json_schema_2020_12_tool", {TextContent("The schema is what matters.")});
  dialect.input_schema = FixtureJson(kWholeDialect);
  dialect.schema_check = SchemaCheck::kPassThrough;
  MustAdd(server.AddTool(std::move(dialect)));
  Tool mirrored = Constant("test_x_mcp_header", {TextContent("The headers agreed.")});
  mirrored.input_schema = FixtureJson(R"({"type": "object", "properties": {
      "region": {"type": "string", "x-mcp-header": "Region"}, "level": {"type": "integer"}}})");
  MustAdd(server.AddTool(std::move(mirrored)));
}

void AddStreamTools(Server& server) {
  MustAdd(server.AddTool(Plain("test_tool_with_logging", "Logs three messages.", LogThrice)));
  MustAdd(server.AddTool(Plain("test_logging_tool", "Logs if asked to.", LogThrice)));
  MustAdd(server.AddTool(
      Plain("test_tool_with_progress", "Reports progress three times.", ProgressThrice)));
  MustAdd(server.AddTool(
      Plain("test_reconnection", "Gives its connection up and goes on.", ReleaseAndGoOn)));
  MustAdd(server.AddTool(Plain("test_streaming_elicitation", "Asks the client no question.",
                               [](CallContext& call, const Json&) -> Result<ToolResult> {
                                 call.Progress(1, 1, "done");
                                 return ToolResult::Text("Done without asking.");
                               })));
  MustAdd(server.AddTool(Plain("test_trigger_tool_change", "Says that the tools changed.",
                               [&server](CallContext&, const Json&) -> Result<ToolResult> {
                                 server.NotifyToolsChanged();
                                 return ToolResult::Text("Said so.");
                               })));
  MustAdd(server.AddTool(Plain("test_trigger_prompt_change", "Says that the prompts changed.",
                               [&server](CallContext&, const Json&) -> Result<ToolResult> {
                                 server.NotifyPromptsChanged();
                                 return ToolResult::Text("Said so.");
                               })));
  Tool missing = Plain("test_missing_capability", "Needs sampling.",
                       [](CallContext&, const Json&) -> Result<ToolResult> {
                         return ToolResult::Text("The client can sample.");
                       });
  missing.required_capabilities = FixtureJson(R"({"sampling": {}})");
  MustAdd(server.AddTool(std::move(missing)));
}

}  // namespace pyro::mcp::testing
