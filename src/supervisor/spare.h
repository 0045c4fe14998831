// A guest that waits in a pool until a client claims it.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "pyro/result.h"
#include "supervisor/guest_record.h"
#include "supervisor/helpers.h"
#include "supervisor/timers.h"
#include "wire/messages.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// A spare warms up before it waits: it runs a command that does nothing, because the first command
// takes long, above all if the CPU is emulated. Once it is claimed, the pool is filled again.
// Belongs to the loop's thread. A guest that belongs to no pool has a Spare that never waits.
class Spare {
 public:
  // All are borrowed.
  Spare(const wire::SupervisorConfig& config, GuestRecord& record, Timers& timers, Helpers& helpers)
      : config_(config),
        record_(record),
        helpers_(helpers),
        refill_delay_(timers.NewTimer()),
        waiting_(!config.spare_pool.empty()) {}

  // No client has claimed it yet.
  bool waiting() const { return waiting_; }

  // The guest is ready: the frames of its first command, for the agent.
  std::string WarmUp(wire::Ready ready);
  bool warming_up() const { return warming_up_.has_value(); }

  // A frame of a command's channel during the warm-up. What the agent said as it got ready, once
  // that command has ended. kProtocol: a frame of another command.
  Result<std::optional<wire::Ready>> FromAgent(const wire::Frame& frame);

  // The guest boots again.
  void StartOver() { warming_up_.reset(); }

  // A client takes it, and no other may. The pool is filled once the client's command is on its
  // way.
  void Claim();
  // The same for a task; see GuestRecord::TakenForTask.
  Status ClaimForTask(const std::string& manifest, const wire::Ready& ready,
                      const std::optional<wire::GuestNetwork>& network);

  // The pool is filled at the latest now.
  void GuestEnded();

 private:
  void Took();
  void Refill();

  const wire::SupervisorConfig& config_;
  GuestRecord& record_;
  Helpers& helpers_;
  std::unique_ptr<Timer> refill_delay_;
  bool waiting_;
  std::optional<wire::Ready> warming_up_;  // What the agent answered, while the command runs.
  bool wants_refill_ = false;              // The pool that this guest was taken from lacks it.
};

}  // namespace pyro::supervisor
