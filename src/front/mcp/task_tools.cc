// The task_* tools, except task_exec and task_logs, which have files of their own.

#include "front/mcp/tools.h"

#include <utility>

#include <fmt/format.h>

#include "api/operations.h"
#include "base/text.h"
#include "base/try.h"
#include "front/mcp/arguments.h"
#include "front/mcp/call_report.h"
#include "front/mcp/results.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
using mcp::ToolResult;

constexpr std::size_t kListedTasks = 40;    // The most that fit a result.
constexpr std::size_t kChangesShown = 100;  // Of a sync.

struct ExportArguments : ExportTaskRequest {
  bool sync = false;
};

constexpr api::Field kExportArguments[] = {
    api::Inline<ExportArguments, ExportTaskRequest>(),
    api::Row<ExportArguments, &ExportArguments::sync>("sync", "Only what changed in the task.")
        .OnHost(),
};

struct StopArguments : TaskRequest {
  std::int64_t sequence = 0;  // 0: the task.
};

constexpr api::Field kStopArguments[] = {
    api::Inline<StopArguments, TaskRequest>(),
    api::Row<StopArguments, &StopArguments::sequence>("sequence", "The command to kill.").In(1),
};

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
  Json form = ForModels(ToJson(task));
  if (task.last_command) {
    form["last_command"]["command"] = CutWords(task.last_command->command, 300);
  }
  if (!notices.empty()) form["notices"] = notices;
  ToolResult result = ValueResult(std::move(form));
  result.content.push_back(mcp::TextContent(TaskText(*result.structured)));
  return result;
}

}  // namespace

Answer CreateTask(const Host& host, CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto options, ReadArguments<TaskOptions>(arguments));
  CallReport report(call, 0, "making a task of " + options.environment);
  const CallIo io = report.Io();
  PYRO_RETURN_IF_ERROR(host.builds.Await(options, host.answer_after, io));
  PYRO_ASSIGN_OR_RETURN(const TaskInfo task, host.engine.CreateTask(options, io));
  host.server.NotifyResourcesChanged();
  return TaskResult(task, report.Notices());
}

Answer GetTaskStatus(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto request, ReadArguments<TaskRequest>(arguments));
  PYRO_ASSIGN_OR_RETURN(const TaskInfo task, host.engine.StatusTask(request.task_id));
  return TaskResult(task);
}

Answer ListTasks(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto request, ReadArguments<ListTasksRequest>(arguments));
  PYRO_ASSIGN_OR_RETURN(const std::vector<TaskInfo> tasks, host.engine.ListTasks(request.labels));
  Json list = Json::array();
  // The newest are at the end, and first in what is shown.
  for (auto task = tasks.rbegin(); task != tasks.rend() && list.size() < kListedTasks; ++task) {
    const Json whole = ToJson(*task);
    Json form;
    for (const char* name : {"task_id", "name", "labels", "environment", "state", "command_count",
                             "created_at", "last_used_at", "disk_bytes"}) {
      form[name] = whole[name];
    }
    for (const char* name : {"name", "labels"}) {
      if (form[name].empty()) form.erase(name);
    }
    if (task->last_command) {
      form["last_command"] = Printable(ShellJoin(task->last_command->command), 160);
    }
    list.push_back(std::move(form));
  }
  return ToolResult::Structured(
      {{"total", tasks.size()}, {"count", list.size()}, {"tasks", std::move(list)}});
}

const api::Struct& StopArgumentRows() {
  static const api::Struct kRows =
      api::Describe<StopArguments>("StopArguments", "What to stop.", kStopArguments);
  return kRows;
}

Answer StopTask(const Host& host, CallContext& call, const Json& arguments) {
  StopArguments request;
  PYRO_RETURN_IF_ERROR(ReadArguments(StopArgumentRows(), arguments, &request));
  if (request.sequence == 0) {
    PYRO_ASSIGN_OR_RETURN(const TaskInfo task, host.engine.StopTask(request.task_id));
    return TaskResult(task);
  }
  CallReport report(call, 0, "stopping the command");
  PYRO_ASSIGN_OR_RETURN(
      const TaskCommandInfo command,
      host.engine.CancelTaskCommand(request.task_id, request.sequence, report.Io()));
  Json form = ToJson(command);
  form["command"] = CutWords(command.command, 2000);
  return EntryResult(std::move(form), WithCommand::kYes);
}

const api::Struct& ExportArgumentRows() {
  static const api::Struct kRows =
      api::Describe<ExportArguments>("ExportArguments", "What to copy out.", kExportArguments);
  return kRows;
}

Answer ExportFromTask(const Host& host, CallContext& call, const Json& arguments) {
  ExportArguments request;
  PYRO_RETURN_IF_ERROR(ReadArguments(ExportArgumentRows(), arguments, &request));
  CallReport report(call, 0, "copying out of the task");
  if (!request.sync) {
    PYRO_ASSIGN_OR_RETURN(const ExportedPath exported,
                          host.engine.ExportTask(request.task_id, request.path, request.destination,
                                                 {.force = request.force}, report.Io()));
    return ValueResult(ToJson(exported));
  }
  SyncTaskRequest sync;
  sync.task_id = request.task_id;
  sync.path = request.path;
  sync.host_path = request.destination;
  sync.pull = true;
  if (request.force) sync.prefer = SyncSide::kTask;
  PYRO_ASSIGN_OR_RETURN(SyncedTask synced, host.engine.SyncTask(sync, report.Io()));
  if (synced.changes.size() > kChangesShown) {
    synced.changes.resize(kChangesShown);
    synced.truncated = true;
  }
  Json form = ToJson(synced);
  for (const char* usual : {"pull", "dry_run", "conflicts"}) form.erase(usual);
  return ValueResult(std::move(form));
}

Answer DeleteTask(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(Json deleted,
                        api::Call(host.engine, *api::FindTool("task_delete"), arguments));
  host.server.NotifyResourcesChanged();
  return ToolResult::Structured(std::move(deleted));
}

}  // namespace pyro::mcp_server
