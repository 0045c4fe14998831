// pyro task exec

#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cli/call.h"
#include "cli/output.h"
#include "cli/parser.h"
#include "cli/task.h"
#include "pyro/json_forms.h"

namespace pyro::cli {
namespace {

struct ExecFlags {
  std::string task_id;
  std::optional<std::int64_t> timeout_seconds;  // Without: the default, or none in the background.
  bool background = false;
  bool quiet = false;
};

// Prints the sequence, once the command is recorded; the command goes on without this process.
int ExecInBackground(Engine& engine, const Context& context, const ExecFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.task_id);
  Command command;
  command.argv = *context.command;
  const auto started = call.Run([&](const CallIo& io) {
    return engine.StartTaskCommand(flags.task_id, command, flags.timeout_seconds.value_or(0), io);
  });
  if (!started) return Fail(started.error(), context);
  if (context.json) {
    PrintJson(ToJson(*started));
    return kExitOk;
  }
  Print(fmt::format("{}\n", started->sequence));
  if (!flags.quiet) {
    Talk(fmt::format("[task-exec] task_id={} sequence={} cwd={} execution_mode={} state={}\n",
                     started->task_id, started->sequence, started->cwd, started->execution_mode,
                     started->state));
  }
  return kExitOk;
}

int Exec(Engine& engine, const Context& context, const ExecFlags& flags) {
  if (flags.background) return ExecInBackground(engine, context, flags);
  Call call(StyleOf(context, flags.quiet), flags.task_id);
  call.PassStdin();
  if (!context.json) call.PassOutput();
  Command command;
  command.argv = *context.command;
  const auto result = call.Run([&](const CallIo& io) {
    return engine.ExecTask(flags.task_id, command,
                           flags.timeout_seconds.value_or(kDefaultTimeoutSeconds), io);
  });
  if (!result) return Fail(result.error(), context);
  if (context.json) {
    PrintJson(ToJson(*result));
    return result->exit_code;
  }
  ExplainOutcome(*result, flags.quiet);
  if (!flags.quiet) {
    Talk(fmt::format(
        "[task-exec] task_id={} sequence={} cwd={} execution_mode={} exit_code={} duration_ms={}\n",
        result->task_id, result->sequence, result->cwd, result->execution_mode, result->exit_code,
        result->duration_ms));
  }
  return result->exit_code;
}

}  // namespace

void AddTaskExec(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<ExecFlags>();
  CLI::App* exec =
      AddCommand(task, context, "exec", "Run a command in a task's /workspace", flags, Exec);
  AddJson(exec, context);
  AddTaskId(exec, flags->task_id);
  exec->add_option("--timeout-seconds", flags->timeout_seconds,
                   "Kill the command after N seconds, 1 to 604800; with --background never unless "
                   "it is given")
      ->default_str(std::to_string(kDefaultTimeoutSeconds));
  exec->add_flag("--background", flags->background,
                 "Print the command's sequence and leave it running, its stdin at its end");
  exec->add_flag("-q,--quiet", flags->quiet, "No progress and no closing line");
  exec->footer(
      "Exit codes are those of 'pyro run'.\n\nExample:\n  pyro task exec $id -- sh -c 'make && "
      "make test'");
  exec->callback([&context, flags] {
    context.failure_code = kExitPyroFailed;
    RequireCommand(context, "pyro task exec " + flags->task_id);
    context.action = [&context, flags](Engine& engine) { return Exec(engine, context, *flags); };
  });
}

}  // namespace pyro::cli
