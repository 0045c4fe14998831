// pyro task delete

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cli/call.h"
#include "cli/output.h"
#include "cli/parser.h"
#include "cli/task.h"

namespace pyro::cli {
namespace {

struct DeleteFlags {
  std::string task_id;
  bool quiet = false;
};

int Delete(Engine& engine, const Context& context, const DeleteFlags& flags) {
  const auto id = engine.DeleteTask(flags.task_id);
  if (!id) return Fail(id.error(), context);
  if (context.json) {
    PrintJson({{"task_id", *id}, {"deleted", true}});
  } else if (!flags.quiet) {
    Print(fmt::format("Deleted task: {}\n", *id));
  }
  return kExitOk;
}

}  // namespace

void AddTaskDelete(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<DeleteFlags>();
  CLI::App* command = AddCommand(task, context, "delete",
                                 "Delete a task with its workspace and journal", flags, Delete);
  AddJson(command, context);
  AddTaskId(command, flags->task_id);
  command->add_flag("-q,--quiet", flags->quiet, "Print nothing");
  command->footer("Example:\n  pyro task delete $id");
}

}  // namespace pyro::cli
