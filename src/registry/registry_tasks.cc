// The part of Registry for tasks.

#include <fmt/format.h>

#include "base/try.h"
#include "registry/lifecycle.h"
#include "registry/registry.h"
#include "registry/task_row.h"

namespace pyro::registry {
namespace {

Error NoSuchTask(std::string_view id) {
  return MakeError(ErrorCode::kNotFound, fmt::format("there is no task '{}'", id),
                   "`pyro task list` lists them");
}

Result<std::vector<TaskRecord>> ReadTasks(db::Statement& select) {
  std::vector<TaskRecord> tasks;
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return tasks;
    PYRO_ASSIGN_OR_RETURN(auto task, ReadTask(select));
    tasks.push_back(std::move(task));
  }
}

// The record of an adopted task, after its commands.
void ResumeAfter(TaskRecord& task, const std::vector<CommandRecord>& commands) {
  task.state = TaskState::kStopped;
  WallTime last_used = task.created_at;
  for (const CommandRecord& command : commands) {
    last_used = std::max(last_used, command.end->ended_at);
    task.output_bytes += command.end->kept_bytes();
    task.next_sequence = command.sequence + 1;
    ++task.command_count;
    const bool allowed =
        command.execution_mode != ExecutionMode::kHostCompat || task.allow_host_compat;
    if (allowed) task.execution_mode = command.execution_mode;
  }
  BeginLease(task, last_used);
}

Status CheckAdopted(const TaskSpec& spec, const std::vector<CommandRecord>& commands) {
  std::int64_t before = 0;
  for (const CommandRecord& command : commands) {
    const bool in_order = command.sequence > before && command.sequence < INT64_MAX;
    if (!in_order || !command.end || command.task_id != spec.id) {
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("command {} of '{}' cannot be recorded", command.sequence, spec.id.str()));
    }
    PYRO_RETURN_IF_ERROR(CheckCommandEnd(*command.end));
    before = command.sequence;
  }
  return OkStatus();
}

}  // namespace

Result<TaskRecord> Registry::InsertTask(const TaskSpec& spec) {
  PYRO_RETURN_IF_ERROR(CheckTaskSpec(spec));
  TaskRecord task(spec);
  task.created_at = clock_->Now();
  BeginLease(task, task.created_at);
  PYRO_RETURN_IF_ERROR(InsertTaskRow(task));
  return task;
}

Result<TaskRecord> Registry::AdoptTask(const TaskSpec& spec, WallTime created_at,
                                       const std::vector<CommandRecord>& commands) {
  PYRO_RETURN_IF_ERROR(CheckTaskSpec(spec));
  PYRO_RETURN_IF_ERROR(CheckAdopted(spec, commands));
  TaskRecord task(spec);
  task.created_at = created_at;
  ResumeAfter(task, commands);
  PYRO_RETURN_IF_ERROR(InTransaction([&]() -> Status {
    PYRO_RETURN_IF_ERROR(InsertTaskRow(task));
    for (const CommandRecord& command : commands) {
      PYRO_RETURN_IF_ERROR(InsertCommandRow(command));
    }
    return OkStatus();
  }));
  return task;
}

Status Registry::InsertTaskRow(const TaskRecord& task) {
  PYRO_ASSIGN_OR_RETURN(auto insert, database_.Prepare("INSERT INTO tasks (" PYRO_TASK_COLUMNS
                                                       ") VALUES (" PYRO_TASK_PARAMETERS ")"));
  BindTask(insert, task);
  Status status = insert.Run();
  if (status || status.error().code != ErrorCode::kAlreadyExists) return status;
  return MakeError(ErrorCode::kAlreadyExists,
                   fmt::format("there is a task '{}' already", task.id.str()),
                   "create one with another id");
}

Result<TaskRecord> Registry::GetTask(const TaskId& id) {
  PYRO_ASSIGN_OR_RETURN(auto select,
                        database_.Prepare("SELECT " PYRO_TASK_COLUMNS " FROM tasks WHERE id = ?1"));
  PYRO_ASSIGN_OR_RETURN(const bool found, select.BindText(1, id.str()).Step());
  if (!found) return NoSuchTask(id.str());
  return ReadTask(select);
}

Result<std::vector<TaskRecord>> Registry::ListTasks() {
  PYRO_ASSIGN_OR_RETURN(auto select, database_.Prepare("SELECT " PYRO_TASK_COLUMNS
                                                       " FROM tasks ORDER BY created_at, id"));
  return ReadTasks(select);
}

Result<TaskRecord> Registry::FindTask(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const std::string prefix, WholePrefix(text, TaskIdTag::kPrefix, "task"));
  // The alphabet of ids ends before '{'.
  PYRO_ASSIGN_OR_RETURN(auto select,
                        database_.Prepare("SELECT " PYRO_TASK_COLUMNS
                                          " FROM tasks WHERE id >= ?1 AND id < ?1 || '{'"));
  select.BindText(1, prefix);
  PYRO_ASSIGN_OR_RETURN(auto tasks, ReadTasks(select));
  if (tasks.empty()) return NoSuchTask(prefix);
  if (tasks.size() > 1) return AmbiguousPrefix(prefix, tasks.size());
  return std::move(tasks.front());
}

Result<TaskRecord> Registry::ApplyTask(const TaskId& id, TaskEvent event,
                                       const TaskChanges& changes) {
  if (database_.in_transaction()) return ApplyTaskLocked(id, event, changes);
  PYRO_ASSIGN_OR_RETURN(auto transaction, db::Transaction::Begin(database_));
  PYRO_ASSIGN_OR_RETURN(auto task, ApplyTaskLocked(id, event, changes));
  PYRO_RETURN_IF_ERROR(transaction.Commit());
  return task;
}

Result<TaskRecord> Registry::ApplyTaskLocked(const TaskId& id, TaskEvent event,
                                             const TaskChanges& changes) {
  PYRO_ASSIGN_OR_RETURN(auto task, GetTask(id));
  PYRO_RETURN_IF_ERROR(Advance(task, event, changes, clock_->Now()));
  if (task.state == TaskState::kDeleted) {
    PYRO_RETURN_IF_ERROR(RemoveTask(id));
  } else {
    PYRO_RETURN_IF_ERROR(StoreTask(task));
  }
  return task;
}

Status Registry::StoreTask(const TaskRecord& task) {
  PYRO_ASSIGN_OR_RETURN(auto update,
                        database_.Prepare("UPDATE tasks SET (" PYRO_TASK_VALUES
                                          ") = (" PYRO_TASK_VALUE_PARAMETERS ") WHERE id = ?1"));
  BindTask(update, task);
  return update.Run();
}

Status Registry::RemoveTask(const TaskId& id) {
  PYRO_ASSIGN_OR_RETURN(auto remove, database_.Prepare("DELETE FROM tasks WHERE id = ?1"));
  return remove.BindText(1, id.str()).Run();
}

Status Registry::DeleteTask(const TaskId& id) {
  const auto deleted = ApplyTask(id, TaskEvent::kDelete);
  if (!deleted && deleted.error().code != ErrorCode::kNotFound) return deleted.error();
  return OkStatus();
}

}  // namespace pyro::registry
