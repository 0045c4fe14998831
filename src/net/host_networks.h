// The networks of this host, and whether IPv6 leads outside from it.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/policy.h"

namespace pyro::net {

// The networks of this host's interfaces, and its own addresses, as they are now.
LocalNetworks NetworksOfHost();

// IPv6 leads outside where the kernel has a default route that is no refusal, and an address that
// is global (2000::/3, without 6to4 and Teredo), whose preferred time is not over and which no
// other host has.
struct HostIpv6 {
  bool leads_outside = false;
  std::string why_not;  // For people, without a dot at its end; empty if it does.
  // Networks on this host's links, by its routes without a gateway, of 48 bits and more.
  std::vector<AddressRange> on_link;
};
HostIpv6 Ipv6OfHost();

// The same for the texts of /proc/net/ipv6_route and /proc/net/if_inet6. Pure. Lines that are not
// as the kernel writes them are left out.
HostIpv6 ReadHostIpv6(std::string_view routes, std::string_view addresses);

}  // namespace pyro::net
