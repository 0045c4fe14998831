// The socket between the gate and the supervisor, one JSON object in each packet: the policy in,
// refusals out. The supervisor does not trust what it reads.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/denials.h"
#include "net/policy.h"
#include "pyro/result.h"

namespace pyro::net {

// More than kMaxPolicyBytes take as JSON, with all of LocalNetworks.
inline constexpr std::size_t kMaxControlBytes = 128 * 1024;

inline constexpr std::size_t kMaxServed = 256;

// A host whose connections go to the proxy (src/proxy).
struct ServedHost {
  std::string name;  // Canonical.
  std::uint16_t port = 0;

  friend bool operator==(const ServedHost&, const ServedHost&) = default;
};

struct GateOrders {
  Policy policy;
  LocalNetworks local;
  std::vector<ServedHost> served;  // At most kMaxServed.
  bool ipv6 = false;               // The guest has an address of it.
};

std::string FormatGateOrders(const GateOrders& orders);
// kProtocol, kInvalidArgument.
Result<GateOrders> ParseGateOrders(std::string_view text);

// "registry.example:443", a name and a port. kInvalidArgument.
Result<ServedHost> ParseServedHost(std::string_view text);
std::string FormatServedHost(const ServedHost& host);

// What the gate tells the proxy with the socket of a connection.
struct GuestConnection {
  std::string name;  // Canonical.
  std::uint16_t port = 0;
  bool tunnel = false;  // The port is not served: the bytes go through as they are.
};

inline constexpr std::size_t kMaxConnectionBytes = 512;

std::string FormatGuestConnection(const GuestConnection& connection);
// kProtocol.
Result<GuestConnection> ParseGuestConnection(std::string_view text);

}  // namespace pyro::net
