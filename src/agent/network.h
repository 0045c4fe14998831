// The guest's interfaces, by ioctl: a static program has no resolver and needs none.

#pragma once

#include "pyro/result.h"
#include "wire/messages.h"

namespace pyro::agent {

// 127.0.0.1 works.
Status RaiseLoopback();

// The one ethernet interface gets its address and the default route. kInvalidArgument: not an
// address. kNotFound: no such interface.
Status ConfigureNetwork(const wire::GuestNetwork& network);

}  // namespace pyro::agent
