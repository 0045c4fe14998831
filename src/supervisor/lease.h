// How long a guest lives: with its owner, or as long as it is used.

#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include "supervisor/command_router.h"
#include "supervisor/guest_record.h"
#include "supervisor/spare.h"
#include "supervisor/timers.h"
#include "sys/unique_fd.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// The owner is the first client that greets, or the one that claims a spare. A guest that ends with
// its owner, as that of `pyro run` or a task that is still being made, is removed when the owner
// goes, or does not come. Each other guest has a time without use, which begins again whenever
// commands begin or have all ended. Then a VM is removed, and a task is stopped. A spare lives as
// long as its pool.
//
// Belongs to the loop's thread.
class Lease {
 public:
  class Guest {
   public:
    virtual ~Guest() = default;
    // No command waits or runs.
    virtual bool Idle() const = 0;
    // Its lease is over, or its owner has gone or did not come. A guest that is removed is killed
    // and deleted; otherwise it powers off and its disk is kept.
    virtual void Stop(bool remove) = 0;
  };

  // All are borrowed.
  Lease(boost::asio::io_context& loop, const wire::SupervisorConfig& config, GuestRecord& record,
        const Spare& spare, Timers& timers, Guest& guest);

  void Begin();
  // `creator`: a pidfd of the process that made this guest, or that this spare is kept for. If it
  // ends before an owner has come, the guest need not wait for one.
  void WatchCreator(sys::UniqueFd creator);

  void ClientGreeted(ClientId client);
  void ClientGone(ClientId client);
  // A client has taken this spare. That of a task ends with it while the record is unfinished, any
  // other one always; both after `ttl` without use.
  void Claimed(ClientId client, std::chrono::seconds ttl, bool for_task);

  // Commands began, or all have ended. `recorded`: the lease in the row has begun again already.
  void Used(bool recorded = false);
  // The guest takes commands: its time without use begins again, unless it ends with its owner. The
  // record says so already.
  void GuestIsReady();

  // The guest ends with its first client.
  bool ends_with_client() const { return ends_with_client_; }
  // The guest ends with its owner, and that owner has not come yet.
  bool awaits_owner() const { return !owner_ && !spare_.waiting() && ends_with_owner(); }

  void End();

 private:
  bool ends_with_owner() const { return ends_with_client_ || record_.unfinished(); }
  void Renew();
  // That of a task can be changed while its guest runs.
  void LookForAnotherLength();
  void Arm(std::chrono::seconds length);
  void TimeIsOver();

  GuestRecord& record_;
  const Spare& spare_;
  Guest& guest_;
  std::unique_ptr<Timer> timer_;
  boost::asio::posix::stream_descriptor creator_exit_;
  std::chrono::seconds ttl_;
  bool ends_with_client_;
  bool keeps_work_;  // A task's guest.
  bool ready_ = false;
  std::optional<ClientId> owner_;
};

}  // namespace pyro::supervisor
