// The task_* tools, except task_exec and task_logs, which have files of their own.

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "api/json.h"
#include "base/text.h"
#include "base/try.h"
#include "mcp_server/arguments.h"
#include "mcp_server/call_report.h"
#include "mcp_server/host.h"
#include "mcp_server/results.h"
#include "mcp_server/task_exec.h"
#include "mcp_server/task_logs.h"

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

// A client does not know the server's own directory.
Status CheckHostPath(std::string_view name, const std::string& path) {
  if (std::filesystem::path(path).is_absolute()) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("{} '{}' is not absolute", name, Printable(path, 200)),
                   "give a path on this host that begins with /");
}

Result<ToolResult> CreateTask(const Host& host, CallContext& call, const Json& arguments) {
  TaskOptions options;
  ReadVmOptions(arguments, options);
  options.disk_mib = IntOr(arguments, "disk_mib", options.disk_mib);
  options.source_path = TextOr(arguments, "source_path", "");
  if (arguments.contains("source_path")) {
    PYRO_RETURN_IF_ERROR(CheckHostPath("source_path", options.source_path));
  }
  if (const auto patterns = arguments.find("exclude"); patterns != arguments.end()) {
    options.exclude = patterns->get<std::vector<std::string>>();
  }
  options.git = FlagOr(arguments, "git", false);
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
    Json form = {{"task_id", task->task_id},       {"environment", task->environment},
                 {"state", task->state},           {"command_count", task->command_count},
                 {"created_at", task->created_at}, {"last_used_at", task->last_used_at},
                 {"disk_bytes", task->disk_bytes}};
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
  CallReport report(call, 0, "stopping the command");
  PYRO_ASSIGN_OR_RETURN(
      const TaskCommandInfo command,
      host.engine.CancelTaskCommand(IdOf(arguments), IntOr(arguments, "sequence", 0), report.Io()));
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
  const std::string destination = TextOr(arguments, "destination", "");
  PYRO_RETURN_IF_ERROR(CheckHostPath("destination", destination));
  CallReport report(call, 0, "copying out of the task");
  ExportOptions options;
  options.force = FlagOr(arguments, "force", false);
  PYRO_ASSIGN_OR_RETURN(const ExportedPath exported,
                        host.engine.ExportTask(IdOf(arguments), TextOr(arguments, "path", ""),
                                               destination, options, report.Io()));
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
  tool.description =
      "Start a Linux VM with a /workspace that keeps its files, for work in several steps. Returns "
      "the task_id for the other task_* tools. Files, installed packages and the journal of "
      "commands stay until task_delete. Commands run as root. It takes seconds, and about a minute "
      "more if the environment must be built first.";
  Properties properties = VmProperties(
      "Stop the guest this long after its last use; the task stays, and task_exec starts it again.");
  properties.emplace_back(
      "disk_mib", WithDefault(IntegerSchema("Upper bound of its disk.", 256, 1048576), 10240));
  if (host.host_paths) {
    properties.emplace_back("source_path",
                            TextSchema("Absolute path on the host of a directory or tar archive "
                                       "that fills /workspace."));
    properties.emplace_back("exclude",
                            Json{{"type", "array"},
                                 {"items", {{"type", "string"}}},
                                 {"description", "Names to leave out, such as *.o or /build."}});
    properties.emplace_back(
        "git", WithDefault(FlagSchema("Copy as git sees it: .git, but no ignored file."), false));
  }
  tool.input_schema = InputSchema(properties);
  tool.output_schema = TaskSchema();
  return tool;
}

Tool TaskExecTool(const Host& host) {
  Tool tool =
      MakeTool(host, "task_exec", "Run a command in a task",
               {.read_only = false, .destructive = true, .idempotent = false, .open_world = true},
               ExecInTask);
  tool.description =
      "Run a command in a task's /workspace. Files and background processes stay for the next "
      "command; cd and variables do not. A call answers within 45 s: a command that runs longer "
      "goes on, and the result tells its sequence for task_logs, which waits for its end. Use "
      "background for a server: it returns at once. All output is kept in the journal, except what "
      "a process started with & prints after its command has ended. A non-zero exit_code is a "
      "result. stdin is empty; write files with a heredoc: cat > main.c <<'EOF' …";
  tool.input_schema = InputSchema(
      {
          {"task_id", TaskIdSchema()},
          {"command", CommandSchema()},
          {"timeout_seconds", TimeoutSchema("Kill the command and all it started after this time; "
                                            "raise it for builds. No default with background.")},
          {"background", WithDefault(FlagSchema("Return at once and leave it running, without a "
                                                "time limit unless one is given."),
                                     false)},
      },
      {"task_id", "command"});
  tool.output_schema = TaskExecSchema();
  tool.task_support = mcp::TaskSupport::kOptional;
  return tool;
}

Tool StatusTool(const Host& host) {
  Tool tool = MakeTool(host, "task_status", "Show a task", kReadsTask, GetTaskStatus);
  tool.description = "Show a task's state, lease, disk and newest command.";
  tool.input_schema = InputSchema({{"task_id", TaskIdSchema()}}, {"task_id"});
  tool.output_schema = TaskSchema();
  return tool;
}

Tool LogsTool(const Host& host) {
  Tool tool = MakeTool(host, "task_logs", "Read a task's journal", kReadsTask, ReadLogs);
  tool.description =
      "Read what commands wrote, ended or still running. With task_id alone: the newest commands. "
      "With sequence: that command; wait_seconds waits for its end. With sequence and stream: a "
      "page of that stream; go on at next_offset until complete.";
  tool.input_schema = LogsInputSchema();
  tool.output_schema = LogsOutputSchema();
  return tool;
}

Tool DeleteTool(const Host& host) {
  Tool tool = MakeTool(host, "task_delete", "Delete a task", kEndsTask, DeleteTask);
  tool.description =
      "Delete a task for good with its files and its journal; running commands are killed. Copy "
      "out first what is still needed.";
  tool.input_schema = InputSchema({{"task_id", TaskIdSchema()}}, {"task_id"});
  tool.output_schema = OutputSchema({{"task_id", "string"}, {"deleted", "boolean"}});
  return tool;
}

Tool ListTool(const Host& host) {
  Tool tool = MakeTool(host, "task_list", "List tasks", kReadsTask, List);
  tool.description = "List all tasks, the newest first, those of other sessions too.";
  tool.input_schema = InputSchema({});
  tool.output_schema =
      OutputSchema({{"total", "integer"}, {"count", "integer"}, {"tasks", "array"}});
  return tool;
}

Tool StopTool(const Host& host) {
  Tool tool =
      MakeTool(host, "task_stop", "Stop a task or one of its commands", kEndsTask, StopTask);
  tool.description =
      "With sequence: kill that command with everything it started; its output stays. Without: "
      "power the guest off, which ends every command; files and journal stay, and task_exec starts "
      "it again.";
  tool.input_schema =
      InputSchema({{"task_id", TaskIdSchema()}, {"sequence", CountSchema("The command to kill.")}},
                  {"task_id"});
  tool.output_schema = OutputSchema(
      {{"task_id", "string"}, {"state", "string"}, {"outcome", "string"}}, {"task_id", "state"});
  return tool;
}

Tool ExportTool(const Host& host) {
  Tool tool = MakeTool(
      host, "task_export", "Copy files out of a task",
      {.read_only = false, .destructive = true, .idempotent = false, .open_world = false}, Export);
  tool.description =
      "Copy a file or directory out of a task to the host. A directory becomes a new one or fills an "
      "empty one; a file goes into a directory that exists. A destination such as x.tar or "
      "x.tar.gz becomes an archive. Without force, no file is overwritten.";
  tool.input_schema = InputSchema(
      {
          {"task_id", TaskIdSchema()},
          {"path", TextSchema("In the guest; relative paths count from /workspace.")},
          {"destination", TextSchema("Absolute path on the host.")},
          {"force", WithDefault(FlagSchema("Replace a regular file that is there."), false)},
      },
      {"task_id", "path", "destination"});
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
