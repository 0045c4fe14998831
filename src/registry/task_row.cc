#include "registry/task_row.h"

#include "base/try.h"
#include "registry/row_values.h"

namespace pyro::registry {

Result<TaskRecord> ReadTask(const db::Statement& row) {
  auto id = TaskId::Parse(row.Text(0));
  if (!id) return BadRow("task", "id", row.Text(0));
  PYRO_ASSIGN_OR_RETURN(const TaskState state, ParseName<TaskState>("task", "state", row.Text(9),
                                                                    kStoredStates, VmStateName));
  PYRO_ASSIGN_OR_RETURN(const ExecutionMode mode,
                        ParseName<ExecutionMode>("task", "execution mode", row.Text(10),
                                                 kExecutionModes, ExecutionModeName));
  TaskRecord task(TaskSpec{.id = std::move(*id),
                           .environment = row.Text(1),
                           .environment_digest = row.Text(2),
                           .vcpu_count = row.Int(3),
                           .mem_mib = row.Int(4),
                           .disk_mib = row.Int(5),
                           .ttl = std::chrono::seconds(row.Int(6)),
                           .network = row.Int(7) != 0,
                           .allow_host_compat = row.Int(8) != 0});
  task.state = state;
  task.execution_mode = mode;
  task.accelerator = row.Text(11);
  task.network_json = row.Text(12);
  task.last_error = row.Text(13);
  task.created_at = FromMs(row.Int(14));
  if (const auto started_at = row.OptionalInt(15)) task.started_at = FromMs(*started_at);
  task.last_used_at = FromMs(row.Int(16));
  task.expires_at = FromMs(row.Int(17));
  task.next_sequence = row.Int(18);
  task.command_count = row.Int(19);
  task.output_bytes = static_cast<std::uint64_t>(row.Int(20));
  return task;
}

void BindTask(db::Statement& statement, const TaskRecord& task) {
  statement.BindText(1, task.id.str())
      .BindText(2, task.environment)
      .BindText(3, task.environment_digest)
      .BindInt(4, task.vcpu_count)
      .BindInt(5, task.mem_mib)
      .BindInt(6, task.disk_mib)
      .BindInt(7, task.ttl.count())
      .BindInt(8, task.network ? 1 : 0)
      .BindInt(9, task.allow_host_compat ? 1 : 0)
      .BindText(10, VmStateName(task.state))
      .BindText(11, ExecutionModeName(task.execution_mode))
      .BindText(12, task.accelerator)
      .BindText(13, task.network_json)
      .BindText(14, task.last_error)
      .BindInt(15, ToMs(task.created_at))
      .BindInt(17, ToMs(task.last_used_at))
      .BindInt(18, ToMs(task.expires_at))
      .BindInt(19, task.next_sequence)
      .BindInt(20, task.command_count)
      .BindInt(21, static_cast<std::int64_t>(task.output_bytes));
  if (task.started_at) {
    statement.BindInt(16, ToMs(*task.started_at));
  } else {
    statement.BindNull(16);
  }
}

}  // namespace pyro::registry
