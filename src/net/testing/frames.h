// Frames as a guest or its other side would send them, for tests.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/packet.h"

namespace pyro::net {

inline constexpr Mac kTestMac = {0x52, 0x54, 0, 1, 2, 3};
inline constexpr Ends kFromGuest = {.from = kTestMac, .to = kGatewayMac};
inline constexpr Ends kFromOutside = {.from = kGatewayMac, .to = kTestMac};

// A segment with data, without options.
std::string TcpFrame(const Ends& ends, const Segment& segment, std::string_view data);

// A question for the address of a name, as a program in the guest asks it.
std::string AskFrame(std::string_view name, std::uint16_t type = 1, std::uint16_t id = 77,
                     std::uint16_t port = 40000);

// A TLS ClientHello in one record; without the extension if the name is empty.
std::string ClientHello(std::string_view name);

}  // namespace pyro::net
