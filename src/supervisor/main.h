// The life of the supervisor program, from its standard input to its exit code.

#pragma once

#include <functional>

#include "base/time.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "vmm/vmm.h"

namespace pyro::supervisor {

// The host's wall clock, and how its steps are learned of.
struct HostClock {
  const Clock& clock;
  // A descriptor for sys::TakeClockStep().
  std::function<Result<sys::UniqueFd>()> open_steps;
};

// Reads the configuration from stdin, takes over the lock at wire::kLockFd, detaches from its
// creator, and prints one JSON line on stdout: {"listening":true} once clients can connect, or
// {"error":{…}}. Returns when the guest is gone: 0, or 1 when it never listened. `haste`: what it
// waits for is so many times shorter than for users; above 0.
int RunSupervisor(const vmm::VmmFactory& factory, const HostClock& host_clock, int haste = 1);

}  // namespace pyro::supervisor
