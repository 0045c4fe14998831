// The filter of the guest's network, a small program between the machine and the back end. It
// drops the frames that MayLeave() refuses. Runs until either side closes.

#pragma once

#include "net/frames.h"
#include "pyro/result.h"
#include "vmm/vmm.h"

namespace pyro::net {

// Passes frames between the guest's socket and another one, a stream. Descriptors are borrowed.
// kProtocol: the guest's side sent an impossible length.
Status RunRelay(int guest, vmm::FrameForm form, int outside);

// The network itself, in this process, through libslirp: TCP, UDP and ping with the rights of this
// process, names through the host's resolver, no inbound connection.
Status RunSlirp(int guest, vmm::FrameForm form);

// argv: "relay" (guest's socket is 3, the other 4) or "slirp" (3), then "stream" or "packets" for
// the form of the guest's. Returns the exit code.
int GateMain(int argc, const char* const* argv);

}  // namespace pyro::net
