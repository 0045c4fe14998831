// The gate's end of the socket to the supervisor.

#pragma once

#include <optional>

#include "net/egress.h"
#include "net/frame_end.h"
#include "pyro/result.h"

namespace pyro::net {

class GateControl {
 public:
  // All is borrowed. The socket keeps packets apart.
  GateControl(int fd, Egress& egress) : fd_(fd), egress_(egress) {}

  int fd() const { return fd_; }

  // Waits for the first policy: before it, no frame passes. kProtocol, kUnavailable.
  Status AwaitPolicy();

  // Takes policies that have arrived. A supervisor that is gone closes `state`.
  Status Take(SocketState& state);

  // Tells of refusals, as far as the supervisor takes them.
  void Tell();

  // For poll(): until there may be something to tell; -1: for ever.
  int PollTimeout() const;

 private:
  Status Apply(std::string_view text);

  int fd_;
  Egress& egress_;
};

}  // namespace pyro::net
