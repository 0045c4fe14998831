// pyro task: the group, and its verbs that need no file of their own.

#include "front/cli/task.h"

#include <chrono>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/age.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/closing.h"
#include "front/cli/delete.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task_table.h"

namespace pyro::cli {
namespace {

constexpr std::uint64_t kNearlyFull = 20;  // One part in so many is left.

void PrintLabels(const TaskInfo& task) {
  std::string text;
  for (const auto& [key, value] : task.labels) text += fmt::format(" {}={}", key, Printable(value));
  if (!text.empty()) Print(fmt::format("Labels:{}\n", text));
}

// For commands: what the task gives them.
void PrintDefaults(const TaskDefaults& defaults) {
  std::string text;
  for (const std::string& name : defaults.env) text += fmt::format(" env={}", Printable(name));
  if (!defaults.cwd.empty()) text += fmt::format(" cwd={}", Printable(defaults.cwd));
  if (!defaults.user.empty()) text += fmt::format(" user={}", Printable(defaults.user));
  if (defaults.timeout_seconds)
    text += fmt::format(" timeout_seconds={}", *defaults.timeout_seconds);
  if (!text.empty()) Print(fmt::format("Defaults:{}\n", text));
}

void PrintTask(const Context&, const TaskInfo& task, bool quiet) {
  if (quiet) return;
  if (!task.name.empty()) Print(fmt::format("Name: {}\n", Printable(task.name)));
  PrintLabels(task);
  Print(fmt::format("Task: {}\nEnvironment: {}\nState: {}\nWorkspace: /workspace\n", task.task_id,
                    task.environment, Name(task.state)));
  Print(fmt::format("Execution mode: {}\n", Name(task.execution_mode)));
  if (!task.machine.empty()) Print(fmt::format("Machine: {}\n", task.machine));
  Print(fmt::format("Resources: {} vCPU / {} MiB\nNetwork: {}\n", task.vcpu_count, task.mem_mib,
                    task.network_enabled ? "yes" : "no"));
  for (const std::string& rule : task.network_rules) Print(fmt::format("Rule: {}\n", rule));
  Print(fmt::format("Command count: {}\n", task.command_count));
  if (task.last_command) {
    Print(fmt::format("Last command: {} ({})\n", OneLine(*task.last_command),
                      HowItEnded(*task.last_command)));
  }
  const std::uint64_t bound = static_cast<std::uint64_t>(task.disk_mib) << 20;
  const bool full = task.disk_bytes >= bound - bound / kNearlyFull;
  Print(fmt::format("Lease: until {}\nDisk: {} of {} MiB{}\n", task.expires_at,
                    FormatBytes(task.disk_bytes), task.disk_mib, full ? " (nearly full)" : ""));
  if (!task.read_only.empty()) {
    Print(fmt::format("Read-only: {}\n", Printable(task.read_only, 500)));
  }
  PrintDefaults(task.defaults);
  if (!task.last_error.empty())
    Print(fmt::format("Last error: {}\n", Printable(task.last_error, 500)));
}

void PrintNewTask(const Context& context, const TaskInfo& task, bool quiet) {
  if (quiet) Print(task.task_id + "\n");
  PrintTask(context, task, quiet);
}

// The whole task, or with a sequence one command of it.
int Stop(Engine& engine, const Context& context, const CallFlags<TaskCommandRequest>& flags) {
  const TaskCommandRequest& request = flags.request;
  if (request.sequence == 0) {
    const auto task = engine.StopTask(request.task_id);
    if (!task) return Fail(task.error(), context);
    if (context.json) PrintJson(ToJson(*task));
    PrintTask(context, *task, flags.quiet || context.json);
    return kExitOk;
  }
  const auto command = engine.CancelTaskCommand(request.task_id, request.sequence);
  if (!command) return Fail(command.error(), context);
  if (context.json) {
    PrintJson(ToJson(*command));
  } else if (!flags.quiet) {
    Print(EndLine(*command));
  }
  return kExitOk;
}

}  // namespace

void PrintTasks(const Context& context, const TaskList& list, bool quiet) {
  if (quiet) {
    for (const TaskInfo& task : list.tasks) Print(task.task_id + "\n");
  } else if (list.tasks.empty()) {
    Talk("no tasks to show; 'pyro task create debian:12' makes one\n");
  } else {
    PrintTaskTable(list.tasks, context.clock.Now());
  }
}

std::string HowItEnded(const TaskCommand& command) {
  if (!command.outcome) {
    return fmt::format("running for {}", FormatAge(std::chrono::milliseconds(command.duration_ms)));
  }
  if (command.outcome == Outcome::kInterrupted) return "interrupted";
  return fmt::format("exit_code={}", command.exit_code);
}

std::string EndLine(const TaskCommand& command) {
  if (!command.outcome) {
    return fmt::format("Command {}: {}\n", command.sequence, HowItEnded(command));
  }
  return fmt::format("Command {}: {} (exit_code={}){}\n", command.sequence, Name(*command.outcome),
                     command.exit_code, command.killed ? "; " + KilledLine(*command.killed) : "");
}

std::string OneLine(const TaskCommand& command) {
  return command.command.empty() ? "(not kept)" : Printable(ShellJoin(command.command), 200);
}

void AddTask(CLI::App& app, Context& context) {
  CLI::App* task = app.add_subcommand("task", "Workspaces that stay until they are deleted");
  task->require_subcommand(1);
  if (context.verb == "exec") return AddTaskExec(*task, context);
  task->footer(
      "A TASK_ID is the task's id, its first 6 characters or more, or its name.\n\n"
      "Example:\n  pyro task create debian:12\n\n'pyro task COMMAND --help' tells more.");
  AddRowCommand(*task, context,
                {.operation = "task create",
                 .texts = {.quiet = "Print the id only",
                           .example = "id=$(pyro task create -q --source-path . --git debian:12)\n"
                                      "  pyro task exec $id -- git status"},
                 .waits = true,
                 .made = "the task was made and runs: its id is "},
                PrintNewTask);
  AddTaskExec(*task, context);
  AddRowCommand(*task, context,
                {.operation = "task status", .texts = {.example = "pyro task status $id"}},
                PrintTask);
  AddTaskLogs(*task, context);
  AddTaskWait(*task, context);
  AddRowCommand(
      *task, context,
      {.operation = "task list", .texts = {.quiet = "Print ids only", .example = "pyro task list"}},
      PrintTasks)
      ->alias("ls");
  AddTaskPs(*task, context);
  AddOperation(*task, context, "task stop",
               {.quiet = "Print nothing", .example = "pyro task stop $id"},
               std::make_shared<CallFlags<TaskCommandRequest>>(), Stop);
  AddDelete(*task, context, {.noun = "task", .tag = "task", .value = "TASK_ID"});
  AddTaskExport(*task, context);
  AddTaskHands(*task, context);
  AddTaskSnapshots(*task, context);
  AddTaskPatch(*task, context);
  AddTaskCp(*task, context);
  AddTaskSync(*task, context);
  AddTaskFiles(*task, context);
  AddRowCommand(
      *task, context,
      {.operation = "task update",
       .texts = {.quiet = "Print nothing",
                 .example = "pyro task update web --label stage=test --timeout-seconds 5m"}},
      PrintTask);
  AddTaskNetwork(*task, context);
  AddTaskProcesses(*task, context);
  AddRowCommand(
      *task, context,
      {.operation = "task rename",
       .texts = {.quiet = "Print nothing", .example = "pyro task rename $id 'nightly build'"}},
      PrintTask);
}

}  // namespace pyro::cli
