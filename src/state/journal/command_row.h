// A CommandRecord as a row of the table `commands`, there and back.

#pragma once

#include "db/database.h"
#include "pyro/result.h"
#include "state/journal/command_record.h"

namespace pyro::state {

// The columns but the key, in the order in which ReadCommand and BindCommand count them after it,
// and as many parameters.
#define PYRO_COMMAND_VALUES                                                              \
  "argv, cwd, timeout_ms, execution_mode, state, started_at, ended_at, outcome, code, "  \
  "exit_code, duration_us, stdout_bytes, stderr_bytes, stdout_dropped, stderr_dropped, " \
  "output_left_open"
#define PYRO_COMMAND_VALUE_PARAMETERS \
  "?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18"
#define PYRO_COMMAND_COLUMNS "task_id, sequence, " PYRO_COMMAND_VALUES
#define PYRO_COMMAND_PARAMETERS "?1, ?2, " PYRO_COMMAND_VALUE_PARAMETERS

// Of a statement that selected PYRO_COMMAND_COLUMNS and stands on a row. kDataLoss: the row has
// values that no pyro writes.
Result<CommandRecord> ReadCommand(const db::Statement& row);

void BindCommand(db::Statement& statement, const CommandRecord& command);

}  // namespace pyro::state
