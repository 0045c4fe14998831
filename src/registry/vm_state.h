// The states of a VM or a task and the one table that says which event leads from which to which.

#pragma once

#include <array>
#include <string_view>

#include "pyro/result.h"

namespace pyro::registry {

enum class VmState {
  kCreated,  // It has a directory and a row, and no guest ever ran.
  kStarted,  // A guest runs, or ran until something killed its supervisor.
  kStopped,  // A guest ran and is off; its disk is kept.
  kDeleted,  // Never stored: the row is gone.
};

enum class VmEvent {
  kStart,   // The guest has come up.
  kStop,    // The guest has been powered off.
  kLost,    // The guest is gone without having been stopped.
  kRenew,   // The lease begins anew.
  kExec,    // A command is about to run.
  kDelete,  // The row goes, and the directory after it.
};

inline constexpr std::array kAllVmStates = {VmState::kCreated, VmState::kStarted, VmState::kStopped,
                                            VmState::kDeleted};
inline constexpr std::array kAllVmEvents = {VmEvent::kStart, VmEvent::kStop, VmEvent::kLost,
                                            VmEvent::kRenew, VmEvent::kExec, VmEvent::kDelete};

// The state after `event`. kWrongState, with a hint for the user: not possible in `state`.
// A started VM cannot be deleted: whoever deletes one has made sure first that its guest is off,
// and says so with kStop or kLost. kStop, kLost and kDelete may come twice, because two processes
// may notice the same end.
Result<VmState> Next(VmState state, VmEvent event);

// "created" and so on, as stored and as shown.
std::string_view VmStateName(VmState state);

}  // namespace pyro::registry
