#include "net/control.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "base/try.h"

namespace pyro::net {

std::string FormatGateOrders(const GateOrders& orders) {
  Json local = Json::array();
  for (const AddressRange& range : orders.local.of_host()) {
    local.push_back(fmt::format("{}/{}", FormatAddress(range.network), range.bits));
  }
  return ToJsonLine({{"policy", orders.policy.Format()}, {"local", std::move(local)}});
}

Result<GateOrders> ParseGateOrders(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxControlBytes));
  PYRO_ASSIGN_OR_RETURN(const std::string policy, GetString(json, "policy"));
  GateOrders orders;
  PYRO_ASSIGN_OR_RETURN(orders.policy, Policy::Parse(policy));
  const Json local = json.value("local", Json());
  if (!local.is_array() || local.size() > LocalNetworks::kMaxNetworks) {
    return MakeError(ErrorCode::kProtocol, "'local' is no list of networks");
  }
  std::vector<AddressRange> ranges;
  for (const Json& one : local) {
    if (!one.is_string()) return MakeError(ErrorCode::kProtocol, "a network is no text");
    PYRO_ASSIGN_OR_RETURN(const AddressRange range,
                          ParseAddressRange(one.get_ref<const std::string&>()));
    ranges.push_back(range);
  }
  orders.local = LocalNetworks(std::move(ranges));
  return orders;
}

}  // namespace pyro::net
