// A TaskRecord as a row of the table `tasks`, there and back.

#pragma once

#include "db/database.h"
#include "pyro/result.h"
#include "registry/task_record.h"

namespace pyro::registry {

// The columns in the order in which ReadTask and BindTask count them, and as many parameters.
#define PYRO_TASK_COLUMNS                                                             \
  "id, environment, environment_digest, vcpu_count, mem_mib, disk_mib, ttl_seconds, " \
  "network, allow_host_compat, state, execution_mode, accelerator, network_json, "    \
  "last_error, created_at, started_at, last_used_at, expires_at, next_sequence, "     \
  "command_count, output_bytes"
#define PYRO_TASK_PARAMETERS                                                     \
  "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, " \
  "?18, ?19, ?20, ?21"

// Of a statement that selected PYRO_TASK_COLUMNS and stands on a row. kDataLoss: the row holds what
// no pyro writes.
Result<TaskRecord> ReadTask(const db::Statement& row);

void BindTask(db::Statement& statement, const TaskRecord& task);

}  // namespace pyro::registry
