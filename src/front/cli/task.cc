// pyro task: the group, and the common part of its verbs.

#include "front/cli/task.h"

#include <chrono>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/age.h"
#include "base/text.h"
#include "base/try.h"
#include "front/cli/call.h"
#include "front/cli/delete.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"

namespace pyro::cli {
namespace {

constexpr std::uint64_t kNearlyFull = 20;  // One part in so many is left.

void PrintTask(const TaskInfo& task) {
  if (!task.name.empty()) Print(fmt::format("Name: {}\n", Printable(task.name)));
  Print(fmt::format("Task: {}\nEnvironment: {}\nState: {}\nWorkspace: /workspace\n", task.task_id,
                    task.environment, Name(task.state)));
  Print(fmt::format("Execution mode: {}\nResources: {} vCPU / {} MiB\nNetwork: {}\n",
                    Name(task.execution_mode), task.vcpu_count, task.mem_mib,
                    task.network_enabled ? "yes" : "no"));
  Print(fmt::format("Command count: {}\n", task.command_count));
  if (task.last_command) {
    Print(fmt::format("Last command: {} ({})\n", OneLine(*task.last_command),
                      HowItEnded(*task.last_command)));
  }
  const std::uint64_t bound = static_cast<std::uint64_t>(task.disk_mib) << 20;
  const bool full = task.disk_bytes >= bound - bound / kNearlyFull;
  Print(fmt::format("Lease: until {}\nDisk: {} of {} MiB{}\n", task.expires_at,
                    FormatBytes(task.disk_bytes), task.disk_mib, full ? " (nearly full)" : ""));
  if (!task.last_error.empty())
    Print(fmt::format("Last error: {}\n", Printable(task.last_error, 500)));
}

constexpr Deletable kTasks = {
    .noun = "task",
    .tag = "task",
    .value = "TASK_ID",
    .description = "Delete tasks with their workspaces and journals",
    .remove = [](Engine& engine, const std::string& id) -> Result<Deleted> {
      const auto task = engine.StatusTask(id);
      const bool missing = !task && task.error().code == ErrorCode::kNotFound;
      PYRO_ASSIGN_OR_RETURN(std::string whole, engine.DeleteTask(id));
      return Deleted{std::move(whole), !missing};
    },
    .list = [](Engine& engine) -> Result<std::vector<std::string>> {
      PYRO_ASSIGN_OR_RETURN(const std::vector<TaskInfo> tasks, engine.ListTasks());
      std::vector<std::string> ids;
      for (const TaskInfo& task : tasks) ids.push_back(task.task_id);
      return ids;
    }};

}  // namespace

std::string HowItEnded(const TaskCommand& command) {
  if (!command.outcome) {
    return fmt::format("running for {}", FormatAge(std::chrono::milliseconds(command.duration_ms)));
  }
  if (command.outcome == Outcome::kInterrupted) return "interrupted";
  return fmt::format("exit_code={}", command.exit_code);
}

std::string OneLine(const TaskCommand& command) {
  return Printable(ShellJoin(command.command), 200);
}

int ShowTask(const Result<TaskInfo>& task, const Context& context, bool quiet) {
  if (!task) return Fail(task.error(), context);
  if (context.json) {
    PrintJson(ToJson(*task));
  } else if (!quiet) {
    PrintTask(*task);
  }
  return kExitOk;
}

void AddTask(CLI::App& app, Context& context) {
  CLI::App* task = app.add_subcommand("task", "Workspaces that stay until they are deleted");
  task->require_subcommand(1);
  task->footer(
      "A TASK_ID may be shortened to its first 6 characters, with 'task_' or without.\n\n"
      "Example:\n  pyro task create debian:12\n\n'pyro task COMMAND --help' tells more.");
  AddTaskCreate(*task, context);
  AddTaskExec(*task, context);
  AddTaskStatus(*task, context);
  AddTaskLogs(*task, context);
  AddTaskList(*task, context);
  AddTaskStop(*task, context);
  AddDelete(*task, context, kTasks);
  AddTaskExport(*task, context);
  for (const api::Operation& operation : api::TaskOperations()) {
    if (operation.example != nullptr) AddRowCommand(*task, context, operation);
  }
}

}  // namespace pyro::cli
