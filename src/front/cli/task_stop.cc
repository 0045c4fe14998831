// pyro task stop

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "front/cli/call.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"

namespace pyro::cli {
namespace {

struct StopFlags {
  TaskCommandRequest request;  // The sequence 0: the whole task.
  bool quiet = false;
};

// The whole task, or one command of it.
int Stop(Engine& engine, const Context& context, const StopFlags& flags) {
  if (flags.request.sequence == 0)
    return ShowTask(engine.StopTask(flags.request.task_id), context, flags.quiet);
  const auto command = engine.CancelTaskCommand(flags.request.task_id, flags.request.sequence);
  if (!command) return Fail(command.error(), context);
  if (context.json) {
    PrintJson(ToJson(*command));
  } else if (!flags.quiet) {
    Print(fmt::format("Command {}: {} (exit_code={})\n", command->sequence,
                      Name(command->outcome.value_or(Outcome::kInterrupted)), command->exit_code));
  }
  return kExitOk;
}

}  // namespace

void AddTaskStop(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<StopFlags>();
  CLI::App* stop = AddCommand(
      task, context, "stop",
      "Power a task's guest off, or kill one command; the next exec starts it again", flags, Stop);
  AddJson(stop, context);
  AddFields(stop, flags->request);
  stop->add_flag("-q,--quiet", flags->quiet, "Print nothing");
  stop->footer("Example:\n  pyro task stop $id");
}

}  // namespace pyro::cli
