// The guest's interfaces, by ioctl and netlink: a static program has no resolver and needs none.

#pragma once

#include <string>

#include "pyro/result.h"
#include "wire/messages.h"

namespace pyro::agent {

// 127.0.0.1 works.
Status RaiseLoopback();

// The one ethernet interface gets its address and the default route. kInvalidArgument: not an
// address. kNotFound: no such interface.
Status ConfigureNetwork(const wire::GuestNetwork& network);

// The part of it for IPv6, on an interface that is up. A kernel without IPv6 leaves it out.
Status ConfigureIpv6(const std::string& interface, const wire::GuestNetwork& network);

}  // namespace pyro::agent
