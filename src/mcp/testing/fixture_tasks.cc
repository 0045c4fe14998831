#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "mcp/protocol/message.h"
#include "mcp/testing/fixture.h"

namespace pyro::mcp::testing {
namespace {

using Running = MemoryTaskStore::Running;
using Ended = MemoryTaskStore::Ended;

Tool TaskTool(std::string name, const char* schema, TaskSupport support, ToolHandler handler) {
  Tool tool;
  tool.name = std::move(name);
  tool.description = "May become an MCP task.";
  tool.input_schema = FixtureJson(schema);
  tool.task_support = support;
  tool.handler = std::move(handler);
  return tool;
}

Json ConfirmSchema() {
  return FixtureJson(R"({"type": "object", "properties": {"confirm": {"type": "boolean"}}})");
}

Ended Failing(Running& running) {
  running.Sleep(std::chrono::milliseconds(500));
  ToolResult result = ToolResult::Text("The job failed.");
  result.is_error = true;
  return result;
}

Ended Panicking(Running& running) {
  running.Sleep(std::chrono::milliseconds(200));
  return TaskFailure{.code = kInternalError, .message = "The job broke the protocol."};
}

Ended AskAll(Running& running, const InputRequests& requests, const std::string& done) {
  const auto answers = running.RequestInput(requests);
  if (!answers) return ToolResult::Failure(answers.error());
  return ToolResult::Text(fmt::format("{}: {}", done, ToJsonLine(Json(*answers))));
}

// As a task where the client can take one.
ToolHandler AsTask(MemoryTaskStore& store, std::function<MemoryTaskStore::Body(const Json&)> body) {
  return [&store, body = std::move(body)](CallContext& call,
                                          const Json& arguments) -> Result<ToolResult> {
    if (!call.MayAnswerWithTask()) return ToolResult::Text("This needs the tasks extension.");
    return ToolResult::AsTask(store.Start(call.principal(), body(arguments)));
  };
}

Result<ToolResult> Compute(MemoryTaskStore& store, CallContext& call, const Json& arguments) {
  const Json* given = Find(arguments, "seconds");
  const double seconds = given == nullptr ? 1 : std::clamp(given->get<double>(), 0.0, 60.0);
  const std::chrono::milliseconds time(static_cast<std::int64_t>(seconds * 1000));
  const std::string text = fmt::format("{} computed", StringOr(arguments, "label", "it"));
  // A client that takes no task gets the result at once: it is the same whenever it is computed.
  if (!call.MayAnswerWithTask()) return ToolResult::Text(text);
  return ToolResult::AsTask(store.Start(call.principal(), [time, text](Running& running) -> Ended {
    running.Sleep(time);
    return ToolResult::Text(text);
  }));
}

Result<ToolResult> AskThenTask(MemoryTaskStore& store, CallContext& call) {
  const Json schema = FixtureJson(
      R"({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})");
  PYRO_ASSIGN_OR_RETURN(const InputAnswers answers,
                        call.RequestInput({{"user_name", Elicit("What is your name?", schema)}}));
  const Json* content = Find(answers.at("user_name"), "content");
  const std::string name = content == nullptr ? "no name" : StringOr(*content, "name");
  return ToolResult::AsTask(store.Start(call.principal(), [name](Running& running) -> Ended {
    running.Sleep(std::chrono::milliseconds(100));
    return ToolResult::Text(fmt::format("Hello, {}!", name));
  }));
}

}  // namespace

void AddTaskTools(Server& server, MemoryTaskStore& store) {
  const char* const nothing = R"({"type": "object", "properties": {}})";
  MustAdd(server.AddTool(TaskTool(
      "greet", R"({"type": "object", "properties": {"name": {"type": "string"}}})",
      TaskSupport::kNone, [](CallContext&, const Json& arguments) -> Result<ToolResult> {
        return ToolResult::Text(fmt::format("Hello, {}!", StringOr(arguments, "name", "World")));
      })));
  MustAdd(server.AddTool(
      TaskTool("slow_compute", R"({"type": "object", "properties": {"seconds": {"type": "number"},
                          "label": {"type": "string"}}})",
               TaskSupport::kOptional, [&store](CallContext& call, const Json& arguments) {
                 return Compute(store, call, arguments);
               })));
  MustAdd(server.AddTool(TaskTool("failing_job", nothing, TaskSupport::kRequired,
                                  AsTask(store, [](const Json&) { return Failing; }))));
  MustAdd(server.AddTool(TaskTool("protocol_error_job", nothing, TaskSupport::kOptional,
                                  AsTask(store, [](const Json&) { return Panicking; }))));
  MustAdd(server.AddTool(TaskTool(
      "confirm_delete", R"({"type": "object", "properties": {"filename": {"type": "string"}}})",
      TaskSupport::kOptional, AsTask(store, [](const Json& arguments) {
        const std::string file = StringOr(arguments, "filename", "the file");
        return [file](Running& running) {
          return AskAll(running, {{"confirm", Elicit("Delete " + file + "?", ConfirmSchema())}},
                        "Answered about " + file);
        };
      }))));
  MustAdd(server.AddTool(
      TaskTool("multi_input", nothing, TaskSupport::kOptional, AsTask(store, [](const Json&) {
                 return [](Running& running) {
                   return AskAll(running,
                                 {{"first", Elicit("First?", ConfirmSchema())},
                                  {"second", Elicit("Second?", ConfirmSchema())}},
                                 "Answered");
                 };
               }))));
  MustAdd(server.AddTool(
      TaskTool("test_tool_with_task", nothing, TaskSupport::kRequired,
               [&store](CallContext& call, const Json&) { return AskThenTask(store, call); })));
}

}  // namespace pyro::mcp::testing
