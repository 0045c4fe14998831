#include "front/mcp/tools.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/operations.h"
#include "base/text.h"
#include "base/try.h"
#include "front/mcp/arguments.h"
#include "front/mcp/call_report.h"
#include "front/mcp/results.h"

namespace pyro::mcp_server {
namespace {

using Handler = Answer (*)(const Host&, mcp::CallContext&, const Json&);

struct ToolRow {
  const char* name;
  const char* title;
  mcp::ToolAnnotations annotations;
  // Fields of the result, with spaces between: NAME, or NAME:TYPE for another type than string;
  // NAME! is always there. nullptr: the tool has no output schema. Commands, files and what makes
  // an id have one.
  const char* output;
  Handler handler = nullptr;                    // nullptr: makes the operation's call.
  const api::Struct& (*arguments)() = nullptr;  // nullptr: the operation's request.
  const char* doing = nullptr;                  // What progress says of an operation's call.
  mcp::TaskSupport tasks = mcp::TaskSupport::kNone;
};

constexpr mcp::ToolAnnotations kReads = {true, false, true, false};
constexpr mcp::ToolAnnotations kMakes = {false, false, false, true};
constexpr mcp::ToolAnnotations kStarts = {false, false, true, false};
constexpr mcp::ToolAnnotations kKeeps = {false, false, true, true};
constexpr mcp::ToolAnnotations kRuns = {false, true, false, true};
constexpr mcp::ToolAnnotations kWrites = {false, true, false, false};
constexpr mcp::ToolAnnotations kEnds = {false, true, true, false};

constexpr const char* kRunFields = "exit_code!:integer outcome! stdout! stderr! explanation:object";

constexpr ToolRow kTools[] = {
    {"vm_run", "Run in a fresh VM", kMakes, kRunFields, RunInNewVm},
    {"vm_list_environments", "List environments", kReads, "environments!:array", ListEnvironments},
    {"vm_create", "Create a VM", kMakes, "vm_id! state!", CreateVm, CreateVmArgumentRows},
    {"vm_start", "Start a VM", kStarts, nullptr, nullptr, nullptr, "starting the guest"},
    {"vm_exec", "Run a command, delete the VM", kRuns, kRunFields, ExecInVm},
    {"vm_stop", "Stop a VM", kEnds, nullptr},
    {"vm_delete", "Delete a VM", kEnds, nullptr},
    {"vm_status", "Show a VM", kReads, nullptr},
    {"vm_network_info", "Show a VM's network", kReads, nullptr},
    {"vm_reap_expired", "Clear expired VMs", kEnds, nullptr},
    {"vm_list", "List VMs and spares", kReads, nullptr, ListVms},
    {"vm_keep_spares", "Keep VMs ready", kKeeps, nullptr, KeepSpares},
    {"vm_inspect_environment", "Show an environment", kReads, nullptr, InspectEnvironment},
    {"vm_prune_environments", "Remove unused environments", kEnds, nullptr},
    {"vm_doctor", "Check this host", kReads, nullptr, CheckHost},
    {"task_create", "Create a task", kMakes, "task_id! state!", CreateTask},
    {"task_exec", "Run a command in a task", kRuns,
     "sequence!:integer state! exit_code:integer outcome stdout stderr explanation:object",
     ExecInTask, ExecArgumentRows, nullptr, mcp::TaskSupport::kOptional},
    {"task_read_file", "Read a file or a directory", kReads,
     "text base64 entries:array next_offset!:integer complete!:boolean", ReadFile, FileReadRows},
    {"task_write_file", "Write a file of a task", kWrites, "path!", WriteFile, FileWriteRows},
    {"task_diff", "Show what changed", kReads, "patch! complete!:boolean", DiffTask},
    {"task_snapshot", "Keep or bring back a state", kWrites, nullptr, UseSnapshot,
     SnapshotArgumentRows},
    {"task_status", "Show a task", kReads, nullptr, GetTaskStatus},
    {"task_logs", "Read a task's journal", kReads,
     "task_id! total:integer entries:array text next_offset:integer total_bytes:integer "
     "complete:boolean state",
     ReadLogs, LogsArgumentRows},
    {"task_delete", "Delete a task", kEnds, nullptr, DeleteTask},
    {"task_list", "List tasks", kReads, nullptr, ListTasks},
    {"task_stop", "Stop a task or a command", kEnds, nullptr, StopTask, StopArgumentRows},
    {"task_export", "Copy files out of a task", kWrites, nullptr, ExportFromTask,
     ExportArgumentRows},
};

// The fields of a result that programs rely on. Open: results hold more.
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

bool IsOffered(const Host& host, std::string_view tool) {
  if (tool == "task_export" && !host.host_paths) return false;
  if (tool.starts_with("task_")) return host.profile != McpProfile::kVmRun;
  if (tool == "vm_run") return host.profile != McpProfile::kTask;
  return tool == "vm_list_environments" || host.profile == McpProfile::kFull;
}

Answer CallOperation(const Host& host, mcp::CallContext& call, const Json& arguments,
                     const api::Operation& operation, const char* doing) {
  const std::shared_ptr<void> request = operation.request().make();
  PYRO_RETURN_IF_ERROR(ReadArguments(operation.request(), arguments, request.get()));
  const std::shared_ptr<void> result = operation.result().make();
  std::optional<CallReport> report;
  if (doing != nullptr) report.emplace(call, 0, doing);
  PYRO_RETURN_IF_ERROR(
      operation.call(host.engine, request.get(), result.get(), report ? report->Io() : CallIo{}));
  return ValueResult(api::ToJson(operation.result(), result.get()));
}

// A model's `auto` could be a thinner wall than that of the machine that the user has named. So it
// is what the user has decided, as if the model had named none.
std::optional<Json> WithoutAuto(const Json& arguments) {
  if (arguments.value("machine", "") != Name(MachineKind::kAuto)) return std::nullopt;
  Json rest = arguments;
  rest.erase("machine");
  return rest;
}

// A model does not choose a thinner wall than its user has.
Status CheckMachine(const Host& host, const Json& arguments) {
  constexpr MachineKind kThinner = MachineKind::kUsermode;
  if (arguments.value("machine", "") != Name(kThinner)) return OkStatus();
  if (host.engine.KnownMachine() == Name(kThinner)) return OkStatus();
  return MakeError(ErrorCode::kPermissionDenied,
                   "the machine usermode has a thinner wall, and the user has not allowed it",
                   "leave machine out; only the user may decide this, outside of MCP");
}

bool MakesGuest(const ToolRow& row) {
  return row.handler == RunInNewVm || row.handler == CreateTask || row.handler == CreateVm;
}

mcp::Tool MakeTool(const Host& host, const ToolRow& row) {
  const api::Operation& operation = *api::FindTool(row.name);
  mcp::Tool tool;
  tool.name = row.name;
  tool.title = row.title;
  tool.description = operation.for_models;
  tool.annotations = row.annotations;
  tool.input_schema =
      SchemaOf(row.arguments != nullptr ? row.arguments() : operation.request(), host.host_paths);
  if (MakesGuest(row) && !host.secrets.empty()) {
    tool.input_schema["properties"]["secrets"] = SecretsProperty(host.secrets);
  }
  if (row.output != nullptr) tool.output_schema = OutputSchema(row.output);
  tool.task_support = row.tasks;
  tool.handler = [host, &row, &operation](mcp::CallContext& call, const Json& given) -> Answer {
    PYRO_RETURN_IF_ERROR(CheckNoneEmpty(given));
    const std::optional<Json> changed = WithoutAuto(given);
    PYRO_ASSIGN_OR_RETURN(const Json arguments,
                          WithSecrets(changed ? *changed : given, host.secrets));
    PYRO_RETURN_IF_ERROR(CheckMachine(host, arguments));
    auto answer = row.handler != nullptr
                      ? row.handler(host, call, arguments)
                      : CallOperation(host, call, arguments, operation, row.doing);
    const bool makes_guest = row.handler == RunInNewVm || row.handler == CreateTask;
    if (makes_guest) host.spares.Wake();
    if (!answer) return ForModels(std::move(answer).error());
    return answer;
  };
  return tool;
}

}  // namespace

Status AddTools(const Host& host) {
  for (const ToolRow& row : kTools) {
    if (IsOffered(host, row.name)) PYRO_RETURN_IF_ERROR(host.server.AddTool(MakeTool(host, row)));
  }
  return OkStatus();
}

}  // namespace pyro::mcp_server
