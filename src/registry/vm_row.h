// A VmRecord as a row of the table `vms`, there and back.

#pragma once

#include "db/database.h"
#include "pyro/result.h"
#include "registry/vm_record.h"

namespace pyro::registry {

// The columns in the order in which ReadVm and BindVm count them.
#define PYRO_VM_COLUMNS                                                                     \
  "id, environment, environment_digest, owner, vcpu_count, mem_mib, ttl_seconds, network, " \
  "allow_host_compat, state, execution_mode, accelerator, network_json, last_error, "       \
  "created_at, started_at, last_used_at, expires_at"

// Of a statement that selected PYRO_VM_COLUMNS and stands on a row. kDataLoss: the row has values
// that no pyro writes.
Result<VmRecord> ReadVm(const db::Statement& row);

// Binds parameters 1 to 18.
void BindVm(db::Statement& statement, const VmRecord& vm);

}  // namespace pyro::registry
