// The task_* tools, except task_exec and task_logs, which have files of their own.

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "mcp_server/arguments.h"
#include "mcp_server/call_report.h"
#include "mcp_server/host.h"
#include "mcp_server/results.h"
#include "mcp_server/task_exec.h"
#include "mcp_server/task_logs.h"
#include "pyro/json_forms.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
using mcp::Tool;
using mcp::ToolResult;

using Handler = Result<ToolResult> (*)(const Host& host, CallContext& call, const Json& arguments);

constexpr std::size_t kListedTasks = 40;  // The most that fit a result.

mcp::ToolHandler BindTaskTool(const Host& host, Handler handler) {
  return [host, handler](CallContext& call, const Json& arguments) -> Result<ToolResult> {
    auto result = handler(host, call, arguments);
    if (!result) return ForModels(std::move(result).error());
    return result;
  };
}

std::string IdOf(const Json& arguments) { return TextOr(arguments, "task_id", ""); }

Json TaskForm(const TaskInfo& task) {
  Json form = WithoutNulls(ToJson(task));
  if (task.last_command)
    form["last_command"]["command"] = CutWords(task.last_command->command, 300);
  return form;
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
  CallReport report(call, 0, "making a task of " + options.environment);
  PYRO_ASSIGN_OR_RETURN(const TaskInfo task, host.engine.CreateTask(options, report.Io()));
  host.server.NotifyResourcesChanged();
  Json form = TaskForm(task);
  if (const auto notices = report.Notices(); !notices.empty()) form["notices"] = notices;
  return ToolResult::Structured(std::move(form));
}

Result<ToolResult> GetTaskStatus(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const TaskInfo task, host.engine.StatusTask(IdOf(arguments)));
  return ToolResult::Structured(TaskForm(task));
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
    return ToolResult::Structured(TaskForm(task));
  }
  CallReport report(call, 0, "stopping the command");
  PYRO_ASSIGN_OR_RETURN(
      const TaskCommandInfo command,
      host.engine.CancelTaskCommand(IdOf(arguments), IntOr(arguments, "sequence", 0), report.Io()));
  Json form = WithoutNulls(ToJson(command));
  form["command"] = CutWords(command.command, 2000);
  return ToolResult::Structured(std::move(form));
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
  PYRO_ASSIGN_OR_RETURN(const ExportedPath exported,
                        host.engine.ExportTask(IdOf(arguments), TextOr(arguments, "path", ""),
                                               destination, report.Io()));
  return ToolResult::Structured(ToJson(exported));
}

constexpr mcp::ToolAnnotations kReadsTask = {
    .read_only = true, .destructive = false, .idempotent = true, .open_world = false};
constexpr mcp::ToolAnnotations kEndsTask = {
    .read_only = false, .destructive = true, .idempotent = true, .open_world = false};

Tool Make(const Host& host, std::string name, std::string title, mcp::ToolAnnotations annotations,
          Handler handler) {
  Tool tool;
  tool.name = std::move(name);
  tool.title = std::move(title);
  tool.annotations = annotations;
  tool.handler = BindTaskTool(host, handler);
  return tool;
}

Tool TaskCreateTool(const Host& host) {
  Tool tool =
      Make(host, "task_create", "Create a task",
           {.read_only = false, .destructive = false, .idempotent = false, .open_world = true},
           CreateTask);
  tool.description =
      "Start a Linux virtual machine with a /workspace that keeps its files, for work in several "
      "steps: "
      "write files, build, test, look around. Returns a task_id for the other task_* tools. Files, "
      "installed packages and the journal of all commands stay until task_delete. Its guest is "
      "stopped "
      "ttl_seconds after the last use, and task_exec starts it again with everything as it was. "
      "Commands "
      "run as root. Without `network` there is no network device, and it cannot be added later. "
      "Takes "
      "seconds, and about a minute more where the environment must be built first. Delete the task "
      "when "
      "its work is done.";
  Properties properties = VmProperties("Then its guest is stopped; the task stays.");
  properties.emplace_back("disk_mib",
                          WithDefault(IntegerSchema("Bound of its disk in MiB; on the host "
                                                    "only what is written takes room.",
                                                    256, 1048576),
                                      10240));
  if (host.host_paths) {
    properties.emplace_back(
        "source_path", TextSchema("Absolute path of a directory, .tar, .tar.gz or .tgz on the host "
                                  "whose content is copied into /workspace."));
  }
  tool.input_schema = InputSchema(properties, {"environment"});
  Json output = TaskSchema();
  output["properties"]["notices"] =
      ListSchema("Things to know about this task.", {{"type", "string"}});
  tool.output_schema = std::move(output);
  return tool;
}

Tool TaskExecTool(const Host& host) {
  Tool tool =
      Make(host, "task_exec", "Run a command in a task",
           {.read_only = false, .destructive = true, .idempotent = false, .open_world = true},
           ExecInTask);
  tool.description =
      "Run a command in a task's /workspace. What it writes stays for the next command; shell "
      "state such "
      "as cd, variables and background jobs does not. The command and all its output are kept in "
      "the "
      "task's journal; the result holds the beginning and end of long output and says how to read "
      "the "
      "rest. A non-zero exit_code is a result. It is killed after timeout_seconds (default 30): "
      "raise "
      "that for builds. For anything over about 50 s, or a server that should keep running, set "
      "background: it returns at once with a sequence, and task_logs(task_id, sequence, "
      "wait_seconds) "
      "reads on while task_stop(task_id, sequence) ends it. stdin is empty. Write files with a "
      "heredoc: "
      "cat > main.c <<'EOF' …";
  tool.input_schema = InputSchema(
      {
          {"task_id", TaskIdSchema()},
          {"command", CommandSchema()},
          {"timeout_seconds", TimeoutSchema()},
          {"background",
           WithDefault(
               FlagSchema("Return as soon as the command is recorded, and leave it running."),
               false)},
      },
      {"task_id", "command"});
  tool.output_schema = TaskExecSchema();
  tool.task_support = mcp::TaskSupport::kOptional;
  return tool;
}

Tool StatusTool(const Host& host) {
  Tool tool = Make(host, "task_status", "Show a task", kReadsTask, GetTaskStatus);
  tool.description = "Show the state of one task, its lease and its newest command.";
  tool.input_schema = InputSchema({{"task_id", TaskIdSchema()}}, {"task_id"});
  tool.output_schema = TaskSchema();
  return tool;
}

Tool LogsTool(const Host& host) {
  Tool tool = Make(host, "task_logs", "Read a task's journal", kReadsTask, ReadLogs);
  tool.description =
      "Read what a task's commands wrote, finished or still running. With task_id alone: the "
      "newest "
      "commands, each with its exit_code and the ends of its output. With sequence: that command; "
      "wait_seconds waits for its end. With sequence and stream: a page of that stream; go on at "
      "next_offset until `complete`, and use wait_seconds to follow a running command. Everything "
      "is "
      "kept until task_delete.";
  tool.input_schema = LogsInputSchema();
  tool.output_schema = LogsOutputSchema();
  return tool;
}

Tool DeleteTool(const Host& host) {
  Tool tool = Make(host, "task_delete", "Delete a task", kEndsTask, DeleteTask);
  tool.description =
      "Delete a task for good: its guest, its files and its journal. Running commands are killed. "
      "Copy "
      "out what is still needed first.";
  tool.input_schema = InputSchema({{"task_id", TaskIdSchema()}}, {"task_id"});
  tool.output_schema =
      OutputSchema({{"task_id", TextSchema("What was deleted.")}, {"deleted", FlagSchema("true")}},
                   {"task_id", "deleted"});
  return tool;
}

Tool ListTool(const Host& host) {
  Tool tool = Make(host, "task_list", "List tasks", kReadsTask, List);
  tool.description =
      "List the tasks there are, the newest first, whoever made them: also those of earlier "
      "sessions and "
      "of the command line.";
  tool.input_schema = InputSchema({});
  Json one = OutputSchema(
      {
          {"task_id", TextSchema("The task.")},
          {"environment", TextSchema("What its root file system began with.")},
          {"state", TextSchema("created, started or stopped.")},
          {"command_count", CountSchema("Entries of its journal.")},
          {"created_at", TextSchema("RFC 3339, UTC.")},
          {"last_used_at", TextSchema("RFC 3339, UTC.")},
          {"disk_bytes", CountSchema("What it takes on the host.")},
          {"last_command", TextSchema("The newest command, on one line.")},
      },
      {"task_id", "environment", "state", "command_count"});
  tool.output_schema = OutputSchema(
      {
          {"total", CountSchema("How many there are.")},
          {"count", CountSchema("How many are listed here.")},
          {"tasks", ListSchema("The newest first.", one)},
      },
      {"total", "count", "tasks"});
  return tool;
}

Tool StopTool(const Host& host) {
  Tool tool = Make(host, "task_stop", "Stop a task or one of its commands", kEndsTask, StopTask);
  tool.description =
      "With sequence: kill that running command with everything it started; its output so far is "
      "kept and "
      "it is recorded as cancelled. Without: power the task's guest off, which ends every command; "
      "files "
      "and journal stay, and the next task_exec starts it again. Stopping what has ended is fine.";
  tool.input_schema =
      InputSchema({{"task_id", TaskIdSchema()},
                   {"sequence", IntegerSchema("The command to kill.", 1, std::int64_t{1} << 53)}},
                  {"task_id"});
  Properties properties = EntryProperties();
  std::erase_if(properties, [](const auto& one) { return one.first == "state"; });
  properties.emplace_back("state", TextSchema("Of the command, or of the task."));
  Json output = OutputSchema(properties, {"task_id", "state"});
  output["properties"].update(TaskSchema()["properties"]);
  output["properties"]["state"] = TextSchema("Of the command, or of the task.");
  tool.output_schema = std::move(output);
  return tool;
}

Tool ExportTool(const Host& host) {
  Tool tool = Make(
      host, "task_export", "Copy files out of a task",
      {.read_only = false, .destructive = false, .idempotent = false, .open_world = false}, Export);
  tool.description =
      "Copy a file or directory out of a task to the host. The destination must not exist yet, or "
      "be an "
      "empty directory; nothing is overwritten. A destination that ends in .tar becomes a tar "
      "archive.";
  tool.input_schema = InputSchema(
      {
          {"task_id", TaskIdSchema()},
          {"path",
           TextSchema("In the guest; a relative one counts from /workspace. \".\" is all of it.")},
          {"destination", TextSchema("Absolute path on the host.")},
      },
      {"task_id", "path", "destination"});
  tool.output_schema = OutputSchema(
      {
          {"task_id", TextSchema("The task.")},
          {"path", TextSchema("What was copied.")},
          {"destination", TextSchema("Where it is now.")},
          {"bytes", CountSchema("How much was copied.")},
      },
      {"task_id", "path", "destination", "bytes"});
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
