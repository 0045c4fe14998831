// The filter of the guest's network, a small program between the machine and the back end. It
// decides by a policy (egress.h), which comes from the supervisor over `control`, a socket of
// packets (control.h). Runs until one side closes.

#pragma once

#include "net/frames.h"
#include "pyro/result.h"
#include "vmm/vmm.h"

namespace pyro::net {

// Borrowed descriptors.
struct GateFds {
  int control = -1;
  int guest = -1;
  int outside = -1;  // Of a relay.
  int proxy = -1;    // A socket of packets to the proxy (control.h); -1: there is none.
};

// Passes frames between the guest's socket and another one, a stream. kProtocol: the guest's side
// sent an impossible length.
Status RunRelay(const GateFds& fds, vmm::FrameForm form);

// The network itself, in this process, through libslirp: TCP, UDP and ping with the rights of this
// process, names through the host's resolver, no inbound connection.
Status RunSlirp(const GateFds& fds, vmm::FrameForm form);

// argv: "relay" (the control socket is 3, the guest's 4, the other 5) or "slirp" (3 and 4), then
// "stream" or "packets" for the form of the guest's, and "proxy" if the next one is the proxy's.
// Returns the exit code.
int GateMain(int argc, const char* const* argv);

}  // namespace pyro::net
