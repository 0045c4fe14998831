// The hosts that the proxy serves, with an address each, of a network that is in the gate alone.
// Pure.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/addresses.h"
#include "net/control.h"

namespace pyro::net {

// Of the range for benchmarks, which no host of the outside has.
inline constexpr Ipv4 kServedNetwork = 0xc6130000;  // 198.19.0.0
inline constexpr int kServedPrefix = 16;
inline constexpr Ipv4 kServedNetmask = 0xffff0000;
inline constexpr Ipv4 kServedGateway = 0xc6130001;   // 198.19.0.1
inline constexpr Ipv4 kServedResolver = 0xc6130002;  // 198.19.0.2; it does not answer.
inline constexpr Ipv4 kFirstServed = 0xc6130101;     // 198.19.1.1

class ServedHosts {
 public:
  // A name keeps the address that it has had.
  void Set(std::vector<ServedHost> hosts);

  bool empty() const { return hosts_.empty(); }
  bool Has(Ipv4 address) const {
    return !empty() && (address ^ kServedNetwork) >> (32 - kServedPrefix) == 0;
  }
  std::optional<Ipv4> AddressOf(std::string_view name) const;
  // nullptr: none has it.
  const std::string* NameAt(Ipv4 address) const;
  bool Serves(std::string_view name, std::uint16_t port) const;

 private:
  std::vector<ServedHost> hosts_;
  std::vector<std::string> names_;  // The first has kFirstServed, and so on.
};

}  // namespace pyro::net
