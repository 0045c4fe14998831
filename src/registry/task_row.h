// A TaskRecord as a row of the table `tasks`, there and back.

#pragma once

#include "db/database.h"
#include "pyro/result.h"
#include "registry/task_record.h"

namespace pyro::registry {

// The columns but the key, in the order in which ReadTask and BindTask count them after it, and as
// many parameters. An UPDATE must not name the key, not even with the same value: SQLite would
// check all commands of the task for a reference to the old one.
#define PYRO_TASK_VALUES                                                           \
  "environment, environment_digest, vcpu_count, mem_mib, disk_mib, ttl_seconds, "  \
  "network, allow_host_compat, state, execution_mode, accelerator, network_json, " \
  "last_error, created_at, started_at, last_used_at, expires_at, next_sequence, "  \
  "command_count, output_bytes"
#define PYRO_TASK_VALUE_PARAMETERS                                                \
  "?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, " \
  "?19, ?20, ?21"
#define PYRO_TASK_COLUMNS "id, " PYRO_TASK_VALUES
#define PYRO_TASK_PARAMETERS "?1, " PYRO_TASK_VALUE_PARAMETERS

// Of a statement that selected PYRO_TASK_COLUMNS and stands on a row. kDataLoss: the row has values
// that no pyro writes.
Result<TaskRecord> ReadTask(const db::Statement& row);

void BindTask(db::Statement& statement, const TaskRecord& task);

}  // namespace pyro::registry
