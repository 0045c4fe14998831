// Records as rows of the tables `instances` and `commands`, there and back. The columns come from
// kInstanceFields, kCommandBeginFields and kCommandEndFields.

#pragma once

#include <utility>
#include <vector>

#include "base/try.h"
#include "db/database.h"
#include "pyro/result.h"
#include "state/instance/instance_record.h"
#include "state/journal/command_record.h"

namespace pyro::state {

// Reads the instance of the id that is parameter 1.
extern const db::Sql kSelectInstance;
// Reads the instances whose ids begin as parameter 1 says; oldest first.
extern const db::Sql kSelectInstances;
// With the parameters of BindInstance.
extern const db::Sql kInsertInstance;
extern const db::Sql kUpdateInstance;

// Read the command of task ?1 and sequence ?2; at most ?3 commands from there on, or back.
extern const db::Sql kSelectCommand;
extern const db::Sql kSelectCommands;
extern const db::Sql kSelectCommandsBack;
// With the parameters of BindCommand.
extern const db::Sql kInsertCommand;
extern const db::Sql kUpdateCommand;

// Of a statement that selects such rows and stands on one. kDataLoss: the row has values that no
// pyro writes.
Result<InstanceRecord> ReadInstance(const db::Statement& row);
Result<CommandRecord> ReadCommand(const db::Statement& row);

// All rows of a statement.
template <typename T>
Result<std::vector<T>> ReadRows(db::Statement& select, Result<T> (*read)(const db::Statement&)) {
  std::vector<T> all;
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return all;
    PYRO_ASSIGN_OR_RETURN(T one, read(select));
    all.push_back(std::move(one));
  }
}

void BindInstance(db::Statement& statement, const InstanceRecord& instance);
void BindCommand(db::Statement& statement, const CommandRecord& command);

}  // namespace pyro::state
