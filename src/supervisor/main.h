// The life of the supervisor program, from its standard input to its exit code.

#pragma once

namespace pyro::supervisor {

// Reads the configuration from stdin, takes over the lock at wire::kLockFd, detaches from its
// creator, and prints one JSON line on stdout: {"listening":true} once clients can connect, or
// {"error":{…}}. Returns when the guest is gone: 0, or 1 when it never listened.
int RunSupervisor();

}  // namespace pyro::supervisor
