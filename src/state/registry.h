// The instances, VMs and tasks: one row each in registry.db of the state directory, read and
// changed by every process of the user at the same time. docs/REGISTRY.md has the tables and the
// rules that hold after a crash.
//
// Every method may wait up to db::kBusyTimeout for another process, and may fail with kUnavailable
// (still busy), kNoSpace, kPermissionDenied, kDataLoss (the file is broken; the hint says what to
// do) or a code named at the method. If a method returns without an error, its change is on disk.
//
// A Registry belongs to one thread and to the process that opened it: open it after fork.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "db/database.h"
#include "pyro/result.h"
#include "state/instance/instance_record.h"
#include "state/instance/instance_state.h"
#include "state/journal/command_record.h"

namespace pyro::state {

// True for what begins as an id does, or is one without its prefix. No task gets such a name: it
// would hide an id, or be hidden by one.
bool LooksLikeId(std::string_view name);

class Registry {
 public:
  // Makes the directory and the file if they are missing, and brings an older file up to date.
  // `clock` must outlive the object. kUnavailable also: a newer pyro made the file.
  static Result<Registry> Open(const std::filesystem::path& state_dir, const Clock& clock);

  // Records it as created; its lease begins now. kInvalidArgument: a number out of range.
  // kAlreadyExists: the id is taken.
  Result<InstanceRecord> Insert(const InstanceSpec& spec);

  // Records a task that existed before this registry: stopped, last used when its last command
  // ended or else at its `created_at`, with `commands`, whose sequences ascend and which have all
  // ended. It stores all of it or none. Errors as for Insert, also for the commands.
  Result<InstanceRecord> Adopt(InstanceRecord task, const std::vector<CommandRecord>& commands);

  // kNotFound.
  Result<InstanceRecord> Get(const InstanceId& id);

  // Oldest first.
  Result<std::vector<InstanceRecord>> List(InstanceKind kind);

  // `text` is an id or its beginning with at least 6 characters after the prefix, which may be left
  // out, or the exact name of a task. A whole id is never taken for a name. kInvalidArgument: it
  // cannot be either, or it fits several; the message tells their ids. kNotFound.
  Result<InstanceRecord> Find(InstanceKind kind, std::string_view text);

  // The way to change an instance's state: checks `event` against its present state, stores the
  // result with `changes`, and returns it as stored.
  // kStart, kExec and kRenew begin the lease again; kStart clears last_error; kStop and kLost clear
  // network_json; kDelete removes the row, and the commands with it. kNotFound; kWrongState: see
  // Next().
  Result<InstanceRecord> Apply(const InstanceId& id, InstanceEvent event,
                               const InstanceChanges& changes = {});

  // Stores what `change` makes of the instance's configuration, and returns it; its manifest is the
  // caller's to write. Another ttl begins the lease again. kNotFound; kInvalidArgument: a number
  // out of range; the error of `change`.
  Result<InstanceRecord> Configure(const InstanceId& id,
                                   const std::function<Status(InstanceSpec&)>& change);

  // Fine if it is gone already. kWrongState: it is started.
  Status Delete(const InstanceId& id);

  // Records a command as running, with the next sequence of the task: from 1 and without a gap,
  // also if several processes ask at the same time. Begins the lease again. kNotFound: no such
  // task. kWrongState: it is not started. kInvalidArgument: a negative limit, or a VM.
  Result<CommandRecord> BeginCommand(const InstanceId& id, const CommandSpec& spec,
                                     ExecutionMode mode = ExecutionMode::kGuestVirtioSerial);

  // Records the end of a running command, once; its output and its line in the journal must be on
  // disk already. The row need not be when this returns: if a power cut takes it, then
  // InterruptRunning restores it from that line. Begins the lease again if the task is started and
  // the command was not interrupted. kNotFound. kWrongState: its end is recorded already, and does
  // not change. kInvalidArgument: see CheckCommandEnd.
  Result<CommandRecord> EndCommand(const InstanceId& id, std::int64_t sequence,
                                   const CommandEnd& end);

  // Records `how(sequence)` (see RecoverEnd) for each command of the task that is recorded as
  // running, and returns their number. For the holder of the task's lock, while no guest runs.
  // `how` must not use this object.
  Result<std::int64_t> InterruptRunning(const InstanceId& id,
                                        const std::function<CommandEnd(std::int64_t)>& how);

  // kNotFound.
  Result<CommandRecord> GetCommand(const InstanceId& id, std::int64_t sequence);
  // The numbers of those that run, in their order.
  Result<std::vector<std::int64_t>> RunningCommands(const InstanceId& id);

  // Empty if there is no such task.
  Result<std::vector<CommandRecord>> ListCommands(const InstanceId& id,
                                                  const CommandRange& range = {});

  // The one with the highest sequence, running or not; empty if none was ever recorded.
  Result<std::optional<CommandRecord>> LastCommand(const InstanceId& id);

  // Environment digests that a VM or a task was made with: these versions must stay installed.
  Result<std::set<std::string>> DigestsInUse();

  // Runs `body` while no other process can change the registry, so that others see a row and a
  // directory appear or disappear together. The changes of `body` through this object are stored if
  // it returns without an error, and otherwise none of them. An error of the commit itself is
  // returned, too: then undo the other effects of `body`. Keep `body` short: others wait. Does not
  // nest.
  Status WithExclusive(const std::function<Status()>& body);

 private:
  Registry(db::Database database, const Clock& clock)
      : database_(std::move(database)), clock_(&clock) {}

  Result<std::vector<InstanceRecord>> WithPrefix(std::string_view prefix);
  Status InsertRow(const InstanceRecord& instance);
  // Stores what `change` makes of the row, or removes it if that is deleted.
  Result<InstanceRecord> Change(const InstanceId& id,
                                const std::function<Status(InstanceRecord&)>& change);
  Status Store(const InstanceRecord& instance);
  Status Remove(const InstanceId& id);
  Status InsertCommandRow(const CommandRecord& command);
  // `body` in the transaction that is open, or else in one of its own, which is synced as `sync`
  // says.
  Status InTransaction(const std::function<Status()>& body, db::Sync sync = db::Sync::kAtCommit);

  db::Database database_;
  const Clock* clock_;
};

}  // namespace pyro::state
