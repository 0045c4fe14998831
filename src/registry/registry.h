// Which VMs there are: one row each in registry.db of the state directory, seen and changed by
// every process of the user at the same time. docs/REGISTRY.md has the tables and the rules that
// hold after a crash.
//
// Every method may wait up to db::kBusyTimeout for another process, and may fail with kUnavailable
// (still busy), kNoSpace, kPermissionDenied or kDataLoss (the file is broken; the hint says what to
// do), besides what is said at each. What a method returned without an error is on disk.
//
// A Registry belongs to one thread and to the process that opened it: open it after fork.

#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "db/database.h"
#include "pyro/result.h"
#include "registry/vm_record.h"
#include "registry/vm_state.h"

namespace pyro::registry {

class Registry {
 public:
  // Makes the directory and the file if they are missing, and brings an older file up to date.
  // `clock` must outlive the object. kUnavailable also: a newer pyro made the file.
  static Result<Registry> Open(const std::filesystem::path& state_dir, const Clock& clock);

  // Records it as created; its lease begins now. kInvalidArgument: a number out of range.
  // kAlreadyExists: the id is taken.
  Result<VmRecord> InsertVm(const VmSpec& spec);

  // kNotFound.
  Result<VmRecord> GetVm(const VmId& id);

  // Oldest first.
  Result<std::vector<VmRecord>> ListVms();

  // `prefix` is an id or its beginning with at least 6 characters after "vm_". kInvalidArgument: it
  // is not, or several VMs begin so. kNotFound.
  Result<VmRecord> FindVm(std::string_view prefix);

  // The one way to change a VM: checks `event` against its state as it is at that moment, stores
  // what follows from both and `changes`, and returns the VM as stored.
  // kStart, kExec and kRenew begin the lease anew; kStart clears last_error; kStop and kLost clear
  // network_json; kDelete removes the row. kNotFound; kWrongState: see Next().
  Result<VmRecord> Apply(const VmId& id, VmEvent event, const VmChanges& changes = {});

  Result<VmRecord> RenewLease(const VmId& id) { return Apply(id, VmEvent::kRenew); }

  // Fine if it is gone already. kWrongState: it is started.
  Status DeleteVm(const VmId& id);

  // Those whose lease has ended by `now`, in any state; the longest overdue first.
  Result<std::vector<VmRecord>> ExpiredVms(WallTime now);

  // Environment digests that a VM was made with: these versions must stay installed.
  Result<std::set<std::string>> DigestsInUse();

  // Runs `body` while no other process can change the registry, so that a row and a directory
  // appear or go together as others see it. What `body` does through this object is stored if it
  // returns without an error, and otherwise not at all. An error of the commit itself is returned,
  // too: undo then what was done besides. Keep `body` short: others wait. Does not nest.
  Status WithExclusive(const std::function<Status()>& body);

 private:
  Registry(db::Database database, const Clock& clock)
      : database_(std::move(database)), clock_(&clock) {}

  Result<VmRecord> ApplyLocked(const VmId& id, VmEvent event, const VmChanges& changes);
  Status Store(const VmRecord& vm);
  Status Remove(const VmId& id);

  db::Database database_;
  const Clock* clock_;
};

}  // namespace pyro::registry
