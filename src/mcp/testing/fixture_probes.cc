// Tools that misbehave, or show what the library does with those that do.

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "mcp/protocol/message.h"
#include "mcp/schema/schema.h"
#include "mcp/testing/fixture.h"
#include "sys/wait_for.h"

namespace pyro::mcp::testing {
namespace {

Tool Probe(std::string name, const char* schema, ToolHandler handler) {
  Tool tool;
  tool.name = std::move(name);
  tool.description = "For tests of the server itself.";
  tool.input_schema = FixtureJson(schema);
  tool.handler = std::move(handler);
  return tool;
}

// How many calls of probe_wait run, and how many ended because they were cancelled.
std::atomic<int> waiting = 0;
std::atomic<int> cancelled = 0;

Result<ToolResult> Wait(CallContext& call, const Json&) {
  ++waiting;
  call.Progress(1, std::nullopt, "waiting");
  (void)sys::WaitFor(call.cancel_fd(), POLLIN, Deadline::Never());
  ++cancelled;
  --waiting;
  return ToolResult::Text("no client reads this");
}

Result<ToolResult> Counts(CallContext&, const Json&) {
  Json counts = Json::object();
  counts["waiting"] = waiting.load();
  counts["cancelled"] = cancelled.load();
  return ToolResult::Structured(std::move(counts));
}

Result<ToolResult> Shout(CallContext&, const Json&) {
  std::printf("printf reaches no client\n");
  std::fflush(stdout);
  [[maybe_unused]] const auto written = ::write(1, "write reaches no client\n", 24);
  [[maybe_unused]] const int status = std::system("echo a child reaches no client");
  char byte = 0;
  return ToolResult::Text(fmt::format("stdin had {} bytes", ::read(0, &byte, 1)));
}

Result<ToolResult> Flood(CallContext& call, const Json& arguments) {
  const int count = arguments.value("count", 1000);
  const std::string text(static_cast<std::size_t>(arguments.value("bytes", 1000)), 'x');
  for (int i = 1; i <= count && !call.cancelled(); ++i) call.Progress(i, count, text);
  return ToolResult::Text(text);
}

// What the validator thinks of a value: for comparing it with another.
Result<ToolResult> Judge(CallContext&, const Json& arguments) {
  const auto schema = Schema::Compile(arguments.at("schema"));
  Json verdict = Json::object();
  verdict["known"] = schema.ok();
  verdict["fits"] = schema.ok() && schema->Validate(arguments.at("value")).empty();
  return ToolResult::Structured(std::move(verdict));
}

}  // namespace

void AddProbeTools(Server& server) {
  const char* const nothing = R"({"type": "object", "additionalProperties": false})";
  MustAdd(server.AddTool(Probe("probe_wait", nothing, Wait)));
  MustAdd(server.AddTool(Probe("probe_counts", nothing, Counts)));
  MustAdd(server.AddTool(Probe("probe_shout", nothing, Shout)));
  MustAdd(server.AddTool(
      Probe("probe_judge", R"({"type": "object", "required": ["schema", "value"]})", Judge)));
  MustAdd(server.AddTool(Probe("probe_flood", R"({"type": "object", "properties": {
      "count": {"type": "integer", "minimum": 0, "maximum": 1000000},
      "bytes": {"type": "integer", "minimum": 0, "maximum": 4000000}}})",
                               Flood)));
  MustAdd(server.AddTool(
      Probe("probe_throw", nothing, [](CallContext&, const Json& arguments) -> Result<ToolResult> {
        return ToolResult::Text(arguments.at("absent").get<std::string>());
      })));
  MustAdd(server.AddTool(
      Probe("probe_fail", nothing, [](CallContext&, const Json&) -> Result<ToolResult> {
        return MakeError(ErrorCode::kNotFound, "task t_1 is not there", "call task_list");
      })));
  MustAdd(server.AddTool(
      Probe("probe_binary", nothing, [](CallContext&, const Json&) -> Result<ToolResult> {
        return ToolResult::Text(std::string("no UTF-8: \xff\xfe, cut: \xe2\x82"));
      })));
  MustAdd(server.AddTool(
      Probe("probe_touch",
            R"({"type": "object", "properties": {"uri": {"type": "string"}}, "required": ["uri"]})",
            [&server](CallContext&, const Json& arguments) -> Result<ToolResult> {
              server.NotifyResourceUpdated(StringOr(arguments, "uri"));
              return ToolResult::Text("touched");
            })));
}

}  // namespace pyro::mcp::testing
