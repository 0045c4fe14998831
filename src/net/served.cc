#include "net/served.h"

#include <algorithm>
#include <utility>

namespace pyro::net {
namespace {

// Of all names that there ever were, so that an address never changes its name.
constexpr std::size_t kMaxNames = 4096;

}  // namespace

void ServedHosts::Set(std::vector<ServedHost> hosts) {
  hosts_ = std::move(hosts);
  for (const ServedHost& host : hosts_) {
    if (std::find(names_.begin(), names_.end(), host.name) != names_.end()) continue;
    if (names_.size() < kMaxNames) names_.push_back(host.name);
  }
}

std::optional<Ipv4> ServedHosts::AddressOf(std::string_view name) const {
  const auto is_served = [&](const ServedHost& host) { return host.name == name; };
  if (std::none_of(hosts_.begin(), hosts_.end(), is_served)) return std::nullopt;
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) return std::nullopt;
  return kFirstServed + static_cast<Ipv4>(found - names_.begin());
}

const std::string* ServedHosts::NameAt(Ipv4 address) const {
  const Ipv4 index = address - kFirstServed;
  return address >= kFirstServed && index < names_.size() ? &names_[index] : nullptr;
}

bool ServedHosts::Serves(std::string_view name, std::uint16_t port) const {
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const ServedHost& host) {
    return host.name == name && host.port == port;
  });
}

}  // namespace pyro::net
