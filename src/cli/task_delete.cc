// pyro task delete

#include <memory>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "base/try.h"
#include "cli/call.h"
#include "cli/output.h"
#include "cli/parser.h"
#include "cli/task.h"
#include "cli/usage.h"
#include "pyro/json_forms.h"

namespace pyro::cli {
namespace {

struct DeleteFlags {
  std::vector<std::string> task_ids;
  bool all = false;
  bool quiet = false;
};

struct Deleted {
  std::string task_id;
  bool was_there = true;
};

Result<Deleted> DeleteOne(Engine& engine, const std::string& task_id) {
  const auto task = engine.StatusTask(task_id);
  const bool missing = !task && task.error().code == ErrorCode::kNotFound;
  PYRO_ASSIGN_OR_RETURN(std::string id, engine.DeleteTask(task_id));
  return Deleted{std::move(id), !missing};
}

void Say(const Deleted& deleted) {
  if (deleted.was_there) {
    Print(fmt::format("Deleted task: {}\n", deleted.task_id));
  } else {
    Print(fmt::format("There was no task {}: nothing to delete\n", deleted.task_id));
  }
}

int DeleteSingle(Engine& engine, const Context& context, const DeleteFlags& flags) {
  const auto deleted = DeleteOne(engine, flags.task_ids[0]);
  if (!deleted) return Fail(deleted.error(), context);
  if (context.json) {
    PrintJson({{"task_id", deleted->task_id}, {"deleted", true}});
  } else if (!flags.quiet) {
    Say(*deleted);
  }
  return kExitOk;
}

// If one cannot be deleted, the others still are.
int DeleteMany(Engine& engine, const Context& context, const std::vector<std::string>& ids,
               bool quiet) {
  int code = kExitOk;
  Json tasks = Json::array();
  for (const std::string& id : ids) {
    const auto deleted = DeleteOne(engine, id);
    if (!deleted) {
      code = kExitFailed;
      Json entry = ToJson(deleted.error());
      entry["task_id"] = id;
      entry["deleted"] = false;
      tasks.push_back(std::move(entry));
      ReportError(deleted.error(), false);
      continue;
    }
    tasks.push_back({{"task_id", deleted->task_id}, {"deleted", true}});
    if (!quiet && !context.json) Say(*deleted);
  }
  if (context.json) PrintJson({{"count", tasks.size()}, {"tasks", tasks}});
  return code;
}

int Delete(Engine& engine, const Context& context, const DeleteFlags& flags) {
  if (!flags.all && flags.task_ids.size() == 1) return DeleteSingle(engine, context, flags);
  if (!flags.all) return DeleteMany(engine, context, flags.task_ids, flags.quiet);
  const auto tasks = engine.ListTasks();
  if (!tasks) return Fail(tasks.error(), context);
  std::vector<std::string> ids;
  for (const TaskInfo& task : *tasks) ids.push_back(task.task_id);
  if (ids.empty() && !flags.quiet && !context.json) Talk("pyro: there are no tasks\n");
  return DeleteMany(engine, context, ids, flags.quiet);
}

}  // namespace

void AddTaskDelete(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<DeleteFlags>();
  CLI::App* command =
      task.add_subcommand("delete", "Delete tasks with their workspaces and journals");
  command->alias("rm");
  AddJson(command, context);
  command
      ->add_option("task_id", flags->task_ids,
                   "The tasks' ids, or their first 6 characters; 'task_' may be left out")
      ->type_name("TASK_ID");
  command->add_flag("--all", flags->all, "Delete all tasks");
  command->add_flag("-q,--quiet", flags->quiet, "Print nothing");
  command->footer(
      "Nothing is asked. With several ids, those that cannot be deleted are named, and\n"
      "the others are deleted.\n\nExample:\n  pyro task delete $id");
  command->callback([&context, flags] {
    if (flags->all && !flags->task_ids.empty()) {
      throw UsageError("--all and a TASK_ID exclude each other", "give one of the two");
    }
    if (!flags->all && flags->task_ids.empty()) {
      throw UsageError("TASK_ID is missing", "give one id or more, or --all");
    }
    context.action = [&context, flags](Engine& engine) { return Delete(engine, context, *flags); };
  });
}

}  // namespace pyro::cli
