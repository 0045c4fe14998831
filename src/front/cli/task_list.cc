// pyro task list | status

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "front/cli/call.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"
#include "front/cli/task_table.h"

namespace pyro::cli {
namespace {

struct ListFlags {
  bool quiet = false;
};

int ShowStatus(Engine& engine, const Context& context, const TaskRequest& request) {
  return ShowTask(engine.StatusTask(request.task_id), context);
}

int ListTasks(Engine& engine, const Context& context, const ListFlags& flags) {
  const auto tasks = engine.ListTasks();
  if (!tasks) return Fail(tasks.error(), context);
  if (context.json) {
    PrintJson(ToJson(TaskList{*tasks}));
    return kExitOk;
  }
  if (flags.quiet) {
    for (const TaskInfo& task : *tasks) Print(task.task_id + "\n");
    return kExitOk;
  }
  if (tasks->empty()) {
    Talk("no tasks; 'pyro task create debian:12' makes one\n");
    return kExitOk;
  }
  PrintTaskTable(*tasks);
  return kExitOk;
}

}  // namespace

void AddTaskStatus(CLI::App& task, Context& context) {
  const auto request = std::make_shared<TaskRequest>();
  CLI::App* status = AddCommand(task, context, "status", "Show one task", request, ShowStatus);
  AddJson(status, context);
  AddFields(status, *request);
  status->footer("Example:\n  pyro task status $id");
}

void AddTaskList(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<ListFlags>();
  CLI::App* list = AddCommand(task, context, "list", "Show all tasks", flags, ListTasks);
  list->alias("ls")->alias("ps");
  AddJson(list, context);
  list->add_flag("-q,--quiet", flags->quiet, "Print ids only");
  list->footer("Example:\n  pyro task list");
}

}  // namespace pyro::cli
