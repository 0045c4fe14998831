#include "net/control.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::net {

std::string FormatGateOrders(const GateOrders& orders) {
  Json local = Json::array();
  for (const AddressRange& range : orders.local.of_host()) {
    local.push_back(fmt::format("{}/{}", FormatAddress(range.network), range.bits));
  }
  Json served = Json::array();
  for (const ServedHost& host : orders.served) served.push_back(FormatServedHost(host));
  return ToJsonLine({{"policy", orders.policy.Format()},
                     {"local", std::move(local)},
                     {"served", std::move(served)},
                     {"ipv6", orders.ipv6}});
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
  PYRO_ASSIGN_OR_RETURN(orders.ipv6, GetBool(json, "ipv6"));
  const Json served = json.value("served", Json::array());
  if (!served.is_array() || served.size() > kMaxServed) {
    return MakeError(ErrorCode::kProtocol, "'served' is no list of hosts");
  }
  for (const Json& one : served) {
    if (!one.is_string()) return MakeError(ErrorCode::kProtocol, "a host is no text");
    PYRO_ASSIGN_OR_RETURN(ServedHost host, ParseServedHost(one.get_ref<const std::string&>()));
    orders.served.push_back(std::move(host));
  }
  return orders;
}

Result<ServedHost> ParseServedHost(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(Rule rule, ParseRule(true, text));
  if (rule.kind != Rule::Kind::kName || rule.port == 0) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is no name with a port", Printable(text)),
                     "write it as registry.example:443");
  }
  return ServedHost{std::move(rule.name), rule.port};
}

std::string FormatServedHost(const ServedHost& host) {
  return fmt::format("{}:{}", host.name, host.port);
}

std::string FormatGuestConnection(const GuestConnection& connection) {
  return ToJsonLine({{"host", FormatServedHost({connection.name, connection.port})},
                     {"tunnel", connection.tunnel}});
}

Result<GuestConnection> ParseGuestConnection(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxConnectionBytes));
  PYRO_ASSIGN_OR_RETURN(const std::string host, GetString(json, "host"));
  PYRO_ASSIGN_OR_RETURN(const bool tunnel, GetBool(json, "tunnel"));
  PYRO_ASSIGN_OR_RETURN(ServedHost served, ParseServedHost(host));
  return GuestConnection{std::move(served.name), served.port, tunnel};
}

}  // namespace pyro::net
