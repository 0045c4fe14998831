// The task_* tools, except task_exec and task_logs, which have files of their own.

#include <utility>

#include <fmt/format.h>

#include "api/json.h"
#include "base/text.h"
#include "base/try.h"
#include "front/mcp/arguments.h"
#include "front/mcp/call_report.h"
#include "front/mcp/host.h"
#include "front/mcp/results.h"
#include "front/mcp/task_exec.h"
#include "front/mcp/task_logs.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
using mcp::Tool;
using mcp::ToolResult;

constexpr std::size_t kListedTasks = 40;  // The most that fit a result.

std::string IdOf(const Json& arguments) { return TextOr(arguments, "task_id", ""); }

// What there is to say of a task on a few lines.
std::string TaskText(const Json& form) {
  std::string text =
      fmt::format("{} {} ({}), {} commands", form.value("task_id", ""), form.value("state", ""),
                  form.value("environment", ""), form.value("command_count", std::int64_t{0}));
  if (form.value("execution_mode", "") == "host_compat") text += ", on the host";
  text += form.value("network_enabled", false) ? ", with network" : ", no network";
  if (form.contains("disk_mib")) {
    text +=
        fmt::format(", disk {} of {} MiB", FormatBytes(form.value("disk_bytes", std::uint64_t{0})),
                    form.value("disk_mib", std::int64_t{0}));
  }
  text += fmt::format("; its guest stops at {} unless it is used\n", form.value("expires_at", ""));
  if (form.contains("last_error")) {
    text += fmt::format("last error: {}\n", form.value("last_error", ""));
  }
  for (const Json& notice : form.value("notices", Json::array())) {
    text += fmt::format("note: {}\n", notice.get<std::string>());
  }
  if (const auto last = form.find("last_command"); last != form.end()) {
    text += "last command: " + EntryText(*last, WithCommand::kYes);
  }
  return text;
}

ToolResult TaskResult(const TaskInfo& task, const Notices& notices = {}) {
  Json form = WithoutNulls(ToJson(task));
  if (task.last_command) {
    form["last_command"]["command"] = CutWords(task.last_command->command, 300);
  }
  if (!notices.empty()) form["notices"] = notices;
  ToolResult result = ValueResult(std::move(form));
  result.content.push_back(mcp::TextContent(TaskText(*result.structured)));
  return result;
}

Result<ToolResult> CreateTask(const Host& host, CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto options, ReadArguments<TaskOptions>(arguments));
  CallReport report(call, 0, "making a task of " + options.environment);
  const CallIo io = report.Io();
  PYRO_RETURN_IF_ERROR(host.builds.Await(options, host.answer_after, io));
  PYRO_ASSIGN_OR_RETURN(const TaskInfo task, host.engine.CreateTask(options, io));
  host.server.NotifyResourcesChanged();
  return TaskResult(task, report.Notices());
}

Result<ToolResult> GetTaskStatus(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const TaskInfo task, host.engine.StatusTask(IdOf(arguments)));
  return TaskResult(task);
}

Result<ToolResult> List(const Host& host, CallContext&, const Json&) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<TaskInfo> tasks, host.engine.ListTasks());
  Json list = Json::array();
  // The newest are at the end, and first in what is shown.
  for (auto task = tasks.rbegin(); task != tasks.rend() && list.size() < kListedTasks; ++task) {
    const Json whole = ToJson(*task);
    Json form;
    for (const char* name : {"task_id", "environment", "state", "command_count", "created_at",
                             "last_used_at", "disk_bytes"}) {
      form[name] = whole[name];
    }
    if (task->last_command) {
      form["last_command"] = Printable(ShellJoin(task->last_command->command), 160);
    }
    list.push_back(std::move(form));
  }
  return ToolResult::Structured(
      {{"total", tasks.size()}, {"count", list.size()}, {"tasks", std::move(list)}});
}

Result<ToolResult> StopTask(const Host& host, CallContext& call, const Json& arguments) {
  if (!arguments.contains("sequence")) {
    PYRO_ASSIGN_OR_RETURN(const TaskInfo task, host.engine.StopTask(IdOf(arguments)));
    return TaskResult(task);
  }
  PYRO_ASSIGN_OR_RETURN(const auto request, ReadArguments<TaskCommandRequest>(arguments));
  CallReport report(call, 0, "stopping the command");
  PYRO_ASSIGN_OR_RETURN(
      const TaskCommandInfo command,
      host.engine.CancelTaskCommand(request.task_id, request.sequence, report.Io()));
  Json form = ToJson(command);
  form["command"] = CutWords(command.command, 2000);
  ToolResult result = ValueResult(std::move(form));
  result.content.push_back(mcp::TextContent(EntryText(*result.structured, WithCommand::kYes)));
  return result;
}

Result<ToolResult> DeleteTask(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const std::string id, host.engine.DeleteTask(IdOf(arguments)));
  host.server.NotifyResourcesChanged();
  return ToolResult::Structured({{"task_id", id}, {"deleted", true}});
}

Result<ToolResult> Export(const Host& host, CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto request, ReadArguments<ExportTaskRequest>(arguments));
  CallReport report(call, 0, "copying out of the task");
  PYRO_ASSIGN_OR_RETURN(const ExportedPath exported,
                        host.engine.ExportTask(request.task_id, request.path, request.destination,
                                               {.force = request.force}, report.Io()));
  return ToolResult::Structured(ToJson(exported));
}

constexpr mcp::ToolAnnotations kReadsTask = {
    .read_only = true, .destructive = false, .idempotent = true, .open_world = false};
constexpr mcp::ToolAnnotations kEndsTask = {
    .read_only = false, .destructive = true, .idempotent = true, .open_world = false};

Tool TaskCreateTool(const Host& host) {
  Tool tool =
      MakeTool(host, "task_create", "Create a task",
               {.read_only = false, .destructive = false, .idempotent = false, .open_world = true},
               CreateTask);
  tool.output_schema = TaskSchema();
  return tool;
}

Tool TaskExecTool(const Host& host) {
  Tool tool =
      MakeTool(host, "task_exec", "Run a command in a task",
               {.read_only = false, .destructive = true, .idempotent = false, .open_world = true},
               ExecInTask);
  tool.input_schema["properties"]["background"] =
      WithDefault(FlagSchema("Return at once and leave it running, without a time limit unless one "
                             "is given."),
                  false);
  tool.output_schema = TaskExecSchema();
  tool.task_support = mcp::TaskSupport::kOptional;
  return tool;
}

Tool StatusTool(const Host& host) {
  Tool tool = MakeTool(host, "task_status", "Show a task", kReadsTask, GetTaskStatus);
  tool.output_schema = TaskSchema();
  return tool;
}

Tool LogsTool(const Host& host) {
  Tool tool = MakeTool(host, "task_logs", "Read a task's journal", kReadsTask, ReadLogs);
  tool.input_schema = LogsInputSchema();
  tool.output_schema = LogsOutputSchema();
  return tool;
}

Tool DeleteTool(const Host& host) {
  Tool tool = MakeTool(host, "task_delete", "Delete a task", kEndsTask, DeleteTask);
  tool.output_schema = OutputSchema({{"task_id", "string"}, {"deleted", "boolean"}});
  return tool;
}

Tool ListTool(const Host& host) {
  Tool tool = MakeTool(host, "task_list", "List tasks", kReadsTask, List);
  tool.output_schema =
      OutputSchema({{"total", "integer"}, {"count", "integer"}, {"tasks", "array"}});
  return tool;
}

Tool StopTool(const Host& host) {
  Tool tool =
      MakeTool(host, "task_stop", "Stop a task or one of its commands", kEndsTask, StopTask);
  tool.input_schema["properties"]["sequence"] =
      PropertyOf(api::Rows<TaskCommandRequest>(), "sequence");
  tool.output_schema = OutputSchema(
      {{"task_id", "string"}, {"state", "string"}, {"outcome", "string"}}, {"task_id", "state"});
  return tool;
}

Tool ExportTool(const Host& host) {
  Tool tool = MakeTool(
      host, "task_export", "Copy files out of a task",
      {.read_only = false, .destructive = true, .idempotent = false, .open_world = false}, Export);
  tool.output_schema = OutputSchema(
      {{"path", "string"}, {"destination", "string"}, {"bytes", "integer"}, {"notices", "array"}},
      {"path", "destination", "bytes"});
  return tool;
}

}  // namespace

Status AddTaskTools(const Host& host) {
  if (host.profile == McpProfile::kVmRun) return OkStatus();
  PYRO_RETURN_IF_ERROR(host.server.AddTool(TaskCreateTool(host)));
  PYRO_RETURN_IF_ERROR(host.server.AddTool(TaskExecTool(host)));
  PYRO_RETURN_IF_ERROR(host.server.AddTool(StatusTool(host)));
  PYRO_RETURN_IF_ERROR(host.server.AddTool(LogsTool(host)));
  PYRO_RETURN_IF_ERROR(host.server.AddTool(DeleteTool(host)));
  PYRO_RETURN_IF_ERROR(host.server.AddTool(ListTool(host)));
  PYRO_RETURN_IF_ERROR(host.server.AddTool(StopTool(host)));
  if (!host.host_paths) return OkStatus();
  return host.server.AddTool(ExportTool(host));
}

}  // namespace pyro::mcp_server
