// The states of a VM or a task, and the table of the events that lead from one to another.

#pragma once

#include <array>

#include "pyro/enums.h"
#include "pyro/result.h"

namespace pyro::state {

using InstanceState = GuestState;

enum class InstanceEvent {
  kStart,   // The guest has started.
  kStop,    // The guest has been powered off.
  kLost,    // The guest ended without being stopped.
  kRenew,   // The lease begins again.
  kExec,    // A command is about to run.
  kDelete,  // The row goes, and the directory after it.
};

inline constexpr std::array kAllInstanceStates = {InstanceState::kCreated, InstanceState::kStarted,
                                                  InstanceState::kStopped, InstanceState::kDeleted};
inline constexpr std::array kAllInstanceEvents = {InstanceEvent::kStart, InstanceEvent::kStop,
                                                  InstanceEvent::kLost,  InstanceEvent::kRenew,
                                                  InstanceEvent::kExec,  InstanceEvent::kDelete};

// The state after `event`. kWrongState, with a hint for the user: not possible in `state`.
// A started VM cannot be deleted: the deleting process first makes sure that the guest is off, and
// records that with kStop or kLost. kStop, kLost and kDelete may come twice, because two processes
// may notice the same end.
Result<InstanceState> Next(InstanceState state, InstanceEvent event);

}  // namespace pyro::state
