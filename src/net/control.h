// The socket between the gate and the supervisor, one JSON object in each packet: the policy in,
// refusals out. The supervisor does not trust what it reads.

#pragma once

#include <string>
#include <string_view>

#include "net/denials.h"
#include "net/policy.h"
#include "pyro/result.h"

namespace pyro::net {

// More than kMaxPolicyBytes take as JSON, with all of LocalNetworks.
inline constexpr std::size_t kMaxControlBytes = 96 * 1024;

struct GateOrders {
  Policy policy;
  LocalNetworks local;
};

std::string FormatGateOrders(const GateOrders& orders);
// kProtocol, kInvalidArgument.
Result<GateOrders> ParseGateOrders(std::string_view text);

}  // namespace pyro::net
