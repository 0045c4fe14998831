// pyro-proxy: carries the connections of one guest to the hosts that it serves, and puts secrets
// into them. Started by the supervisor, in a jail. It ends with the supervisor.

#pragma once

#include "pyro/result.h"

namespace pyro::proxy {

// Descriptors: 3 is a pipe with the configuration (config.h), 4 a socket of packets to the
// supervisor, 5 one from the gate, whose packets each have a connection's socket.
// Returns the exit code.
int ProxyMain(int argc);

}  // namespace pyro::proxy
