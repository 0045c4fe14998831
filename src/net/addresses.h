// The network that every guest sees: its own, without other guests.

#pragma once

#include <array>
#include <cstdint>

namespace pyro::net {

using Ipv4 = std::uint32_t;  // Host byte order.
using Mac = std::array<std::uint8_t, 6>;

inline constexpr Ipv4 kNetwork = 0x0a000200;  // 10.0.2.0
inline constexpr int kPrefix = 24;
inline constexpr Ipv4 kNetmask = 0xffffff00;
inline constexpr Ipv4 kGateway = 0x0a000202;   // 10.0.2.2
inline constexpr Ipv4 kResolver = 0x0a000203;  // 10.0.2.3
inline constexpr Ipv4 kGuest = 0x0a00020f;     // 10.0.2.15
inline constexpr char kGatewayText[] = "10.0.2.2";
inline constexpr char kResolverText[] = "10.0.2.3";
inline constexpr char kGuestText[] = "10.0.2.15";
inline constexpr char kGatewayMacText[] = "52:55:0a:00:02:02";
inline constexpr Mac kGatewayMac = {0x52, 0x55, 0x0a, 0x00, 0x02, 0x02};
inline constexpr int kMtu = 1500;

}  // namespace pyro::net
