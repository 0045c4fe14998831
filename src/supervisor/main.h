// The life of the supervisor program, from its standard input to its exit code.

#pragma once

#include "base/time.h"
#include "vmm/vmm.h"

namespace pyro::supervisor {

// Reads the configuration from stdin, takes over the lock at wire::kLockFd, detaches from its
// creator, and prints one JSON line on stdout: {"listening":true} once clients can connect, or
// {"error":{…}}. Returns when the guest is gone: 0, or 1 when it never listened.
int RunSupervisor(const vmm::VmmFactory& factory, const Clock& clock);

}  // namespace pyro::supervisor
