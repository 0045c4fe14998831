// pyro task create

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "front/cli/call.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"

namespace pyro::cli {
namespace {

struct CreateFlags {
  TaskOptions options;
  bool quiet = false;
};

int Create(Engine& engine, const Context& context, const CreateFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.options.environment);
  const auto task =
      call.Run([&](const CallIo& io) { return engine.CreateTask(flags.options, io); });
  if (!task) return Fail(task.error(), context);
  if (flags.quiet && !context.json) {
    Print(task->task_id + "\n");
  } else {
    (void)ShowTask(task, context);
  }
  return CheckPrinted(context,
                      fmt::format("the task was made and runs: its id is {}", task->task_id));
}

}  // namespace

void AddTaskCreate(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<CreateFlags>();
  CLI::App* create =
      AddCommand(task, context, "create",
                 "Start a task: a microVM whose /workspace and journal stay", flags, Create);
  AddJson(create, context);
  AddFields(create, flags->options);
  create->add_flag("-q,--quiet", flags->quiet, "Print the id only");
  create->footer(
      "An archive is .tar, .tar.gz, .tar.bz2, .tar.xz or .tar.zst. A PATTERN without a\n"
      "slash matches a name at any depth, one with a slash a path from the top.\n"
      "'*' matches no slash, '**' does.\n\n"
      "Example:\n  id=$(pyro task create -q --source-path . --git debian:12)\n"
      "  pyro task exec $id -- git status");
}

}  // namespace pyro::cli
