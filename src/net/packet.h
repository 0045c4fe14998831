// An IPv4 packet within a frame, taken apart and put together. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/addresses.h"
#include "net/frames.h"

namespace pyro::net {

// Of Ethernet.
inline constexpr std::uint16_t kTypeIpv4 = 0x0800;
inline constexpr std::uint16_t kTypeArp = 0x0806;

inline constexpr std::uint8_t kIcmp = 1;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;

inline constexpr std::uint8_t kTcpFin = 0x01;
inline constexpr std::uint8_t kTcpSyn = 0x02;
inline constexpr std::uint8_t kTcpRst = 0x04;
inline constexpr std::uint8_t kTcpAck = 0x10;
inline constexpr std::uint8_t kTcpUrg = 0x20;

struct Packet {
  std::uint8_t protocol = 0;
  Ipv4 source = 0;
  Ipv4 destination = 0;
  bool fragment = false;  // More follow, or it is not the first.
  Frame ip;               // The packet as long as it says, without what pads the frame.
  Frame payload;          // Behind its header. A view of the frame.

  // Of UDP and whole TCP headers; otherwise 0 or empty.
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  Frame data;
  // Of TCP.
  std::uint32_t sequence = 0;
  std::uint32_t acknowledged = 0;
  std::uint8_t flags = 0;
};

// nullopt: no IPv4, or cut off, or its TCP or UDP header is. A fragment has no ports.
std::optional<Packet> ParsePacket(Frame frame);

// Whether the checksum of a TCP or UDP packet is right. A receiver that checks it drops one whose
// checksum is not, and may then take another packet in its place.
bool ChecksumIsRight(const Packet& packet);

// Frames with right checksums, between two cards.
struct Ends {
  Mac from;
  Mac to;
};
std::string MakeIpv4(const Ends& ends, std::uint8_t protocol, Ipv4 source, Ipv4 destination,
                     std::string_view payload);

struct UdpEnds {
  Ipv4 source = 0;
  std::uint16_t source_port = 0;
  Ipv4 destination = 0;
  std::uint16_t destination_port = 0;
};
std::string MakeUdp(const Ends& ends, const UdpEnds& udp, std::string_view data);

// Without data and options.
struct Segment {
  UdpEnds ends;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledged = 0;
  std::uint8_t flags = 0;
};
std::string MakeTcp(const Ends& ends, const Segment& segment);

}  // namespace pyro::net
