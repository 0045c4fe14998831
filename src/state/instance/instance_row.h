// An InstanceRecord as a row of the table `instances`, there and back.

#pragma once

#include "db/database.h"
#include "pyro/result.h"
#include "state/instance/instance_record.h"

namespace pyro::state {

// Reads the instance of the id that is parameter 1.
extern const db::Sql kSelectInstance;
// Reads the instances whose ids begin as parameter 1 says; oldest first.
extern const db::Sql kSelectInstances;
// With the parameters of BindInstance.
extern const db::Sql kInsertInstance;
extern const db::Sql kUpdateInstance;

// Of a statement that stands on a row of one of the two. kDataLoss: the row has values that no pyro
// writes.
Result<InstanceRecord> ReadInstance(const db::Statement& row);

void BindInstance(db::Statement& statement, const InstanceRecord& instance);

}  // namespace pyro::state
