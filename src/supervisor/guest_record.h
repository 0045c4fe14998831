// A supervisor's records of its guest.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/command.h"
#include "base/denied.h"
#include "base/time.h"
#include "pyro/result.h"
#include "wire/messages.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// Keeps a task's commands: records them before they run, then their output as it arrives, then
// their end.
class CommandJournal {
 public:
  virtual ~CommandJournal() = default;
  // Returns the sequence number once the command is on disk. An error: it must not run.
  virtual Result<std::int64_t> Begin(const wire::Exec& exec) = 0;
  virtual void Append(std::int64_t sequence, OutputStream stream, std::string_view bytes) = 0;
  // Returns once output and end are on disk, or the disk has refused them: see settled().
  virtual void End(std::int64_t sequence, const CommandEnd& end) = 0;
  // Something was refused to the guest: it counts for each command that runs.
  virtual void Deny(const Denied&) {}
  // False: a part could not be stored yet. Call Settle() from time to time, until it could. If this
  // process dies before, the next process that reconciles notices the missing part.
  virtual bool settled() const = 0;
  virtual void Settle() = 0;
};

// The interface between the supervisor and the disk.
class GuestRecord {
 public:
  virtual ~GuestRecord() = default;
  // Borrowed; nullptr: commands are not kept.
  virtual CommandJournal* journal() { return nullptr; }
  // True while the creator of this guest's files is not done: without it the guest is of no use.
  virtual bool unfinished() const { return false; }
  // Of a guest that waits to be taken: a client has taken it, and no other may.
  virtual void Taken() {}
  // The same for the task of this manifest, whose record this is from now on: the task is started,
  // and unfinished. After an error there is no such task, and the guest is of no use.
  virtual Status TakenForTask(const std::string& manifest, const wire::Ready& ready,
                              const std::optional<wire::GuestNetwork>& network) = 0;
  // How much longer it waits; nullopt: no longer.
  virtual std::optional<std::chrono::milliseconds> WaitsFor() const { return std::nullopt; }
  virtual Status Started(const wire::Ready& ready,
                         const std::optional<wire::GuestNetwork>& network) = 0;
  // Something was refused to the guest.
  virtual void Deny(const Denied&) {}
  // The rules that the row has now, lines of a net::Policy.
  virtual Result<std::string> NetworkRulesNow() = 0;
  // How long the row says that the lease is now; nullopt: it has no row, or that cannot be read.
  virtual std::optional<std::chrono::seconds> LeaseNow() { return std::nullopt; }
  // Begins the lease again.
  virtual Status Renewed() = 0;
  // Records that the guest is off and its disk is kept.
  virtual Status Stopped() = 0;
  // Records that the guest ended by itself or was lost; `why` is for people.
  virtual Status Lost(const std::string& why) = 0;
  // Deletes directory and row. Idempotent.
  virtual Status Removed() = 0;
};

// Row and files in the state directory, of a VM or a task; a spare has files only, until it is a
// task's guest. registry.db is opened at the first use. The clock is borrowed.
std::unique_ptr<GuestRecord> MakeGuestRecord(const wire::SupervisorConfig& config,
                                             const Clock& clock);

}  // namespace pyro::supervisor
