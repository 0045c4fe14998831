#include "net/host_networks.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/text.h"
#include "net/bytes.h"
#include "sys/files.h"

namespace pyro::net {
namespace {

// A table of the whole Internet is longer, and no host of guests has one.
constexpr std::size_t kMaxTableBytes = 4 * 1024 * 1024;
constexpr int kLeastLinkBits = 48;

// Of /proc/net/ipv6_route and /proc/net/if_inet6 (include/uapi/linux).
constexpr std::uint32_t kRouteUp = 0x0001;
constexpr std::uint32_t kRouteRejects = 0x0200;
constexpr std::uint32_t kAddressUnusable =
    0x08 | 0x20 | 0x40;  // Used twice, deprecated, tentative.
constexpr char kLoopback[] = "lo";

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  for (const std::string_view word : Split(line, ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

template <typename T>
std::optional<T> FromHex(std::string_view text) {
  T value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value, 16);
  return read.ec == std::errc() && read.ptr == end ? std::optional<T>(value) : std::nullopt;
}

// 32 digits.
std::optional<Address> ReadAddress(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  const auto high = FromHex<std::uint64_t>(text.substr(0, 16));
  const auto low = FromHex<std::uint64_t>(text.substr(16));
  if (!high || !low) return std::nullopt;
  return Address(*high, *low);
}

// Of IPv4 and IPv6; nullopt: of another family.
std::optional<Address> AddressOf(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  if (address->sa_family == AF_INET) {
    return Address(ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr));
  }
  if (address->sa_family != AF_INET6) return std::nullopt;
  const auto& six = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  return Address::FromBytes(std::span<const std::uint8_t, 16>(six.s6_addr));
}

int BitsOf(const Address& mask) {
  return mask.IsV4() ? std::popcount(mask.v4())
                     : std::popcount(mask.high()) + std::popcount(mask.low());
}

// Each takes room in the orders for the gate.
void AddOnce(const AddressRange& range, std::vector<AddressRange>& ranges) {
  if (std::find(ranges.begin(), ranges.end(), range) == ranges.end()) ranges.push_back(range);
}

// The network of an address has the address, too.
void AddInterface(const ifaddrs& one, std::vector<AddressRange>& ranges) {
  const auto address = AddressOf(one.ifa_addr);
  if (!address || (!address->IsV4() && IsNever(*address))) return;
  const int all = address->IsV4() ? 32 : 128;
  const auto mask = AddressOf(one.ifa_netmask);
  const int bits = mask ? BitsOf(*mask) : all;
  const bool network = bits > 0 && bits < all;
  AddOnce(
      network ? AddressRange{address->First(128 - all + bits), bits} : AddressRange{*address, all},
      ranges);
}

struct Route {
  AddressRange to;
  bool gateway = false;
  std::uint32_t flags = 0;
  std::string_view interface;
};

std::optional<Route> ReadRoute(std::string_view line) {
  const auto words = Words(line);
  if (words.size() != 10) return std::nullopt;
  const auto to = ReadAddress(words[0]);
  const auto bits = FromHex<std::uint8_t>(words[1]);
  const auto gateway = ReadAddress(words[4]);
  const auto flags = FromHex<std::uint32_t>(words[8]);
  if (!to || !bits || !gateway || !flags) return std::nullopt;
  return Route{{*to, *bits}, !gateway->none(), *flags, words[9]};
}

bool IsUsable(std::string_view line) {
  const auto words = Words(line);
  if (words.size() != 6) return false;
  const auto address = ReadAddress(words[0]);
  const auto flags = FromHex<std::uint32_t>(words[4]);
  return address && flags && (*flags & kAddressUnusable) == 0 && IsGlobal(*address) &&
         !IsNever(*address);
}

}  // namespace

LocalNetworks NetworksOfHost() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return {};
  std::vector<AddressRange> ranges;
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) AddInterface(*one, ranges);
  ::freeifaddrs(first);
  for (const AddressRange& range : Ipv6OfHost().on_link) AddOnce(range, ranges);
  return LocalNetworks(std::move(ranges));
}

HostIpv6 Ipv6OfHost() {
  const auto routes = sys::ReadFile("/proc/net/ipv6_route", kMaxTableBytes);
  const auto addresses = sys::ReadFile("/proc/net/if_inet6", kMaxTableBytes);
  if (routes && addresses) return ReadHostIpv6(*routes, *addresses);
  return {.leads_outside = false,
          .why_not = "this host's kernel tells no routes of IPv6",
          .on_link = {}};
}

HostIpv6 ReadHostIpv6(std::string_view routes, std::string_view addresses) {
  HostIpv6 host;
  bool out = false;
  for (const std::string_view line : Split(routes, '\n')) {
    const auto route = ReadRoute(line);
    const bool used = route && (route->flags & kRouteUp) != 0 &&
                      (route->flags & kRouteRejects) == 0 && route->interface != kLoopback;
    if (!used) continue;
    out |= route->to.bits == 0;
    if (!route->gateway && route->to.bits >= kLeastLinkBits && route->to.bits < 128 &&
        !IsNever(route->to.network)) {
      host.on_link.push_back(route->to);
    }
  }
  const auto lines = Split(addresses, '\n');
  if (!out) {
    host.why_not = "this host has no default route of IPv6";
  } else if (std::none_of(lines.begin(), lines.end(), IsUsable)) {
    host.why_not = "this host has no global address of IPv6";
  } else {
    host.leads_outside = true;
  }
  return host;
}

}  // namespace pyro::net
