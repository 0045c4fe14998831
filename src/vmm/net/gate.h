// The guest's way out, as a small program of its own between QEMU and what carries the frames on.
// It drops what MayLeave() refuses. Runs until either side closes.

#pragma once

#include "pyro/result.h"

namespace pyro::vmm::net {

// Passes frames between the guest's socket and another that speaks the same. Descriptors are
// borrowed. kProtocol: the guest's side sent an impossible length.
Status RunRelay(int guest, int outside);

// The network itself, in this process, through libslirp: TCP, UDP and ping as this process may do
// them, names through the host's resolver, nothing from outside in.
Status RunSlirp(int guest);

// argv: "relay" (guest's socket is 3, the other 4) or "slirp" (3). Returns the exit code.
int GateMain(int argc, const char* const* argv);

}  // namespace pyro::vmm::net
