// A packet of IPv4 or IPv6 within a frame, taken apart and put together. Pure.

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
inline constexpr std::uint16_t kTypeIpv6 = 0x86dd;

inline constexpr std::uint8_t kIcmp = 1;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;
inline constexpr std::uint8_t kIcmp6 = 58;

inline constexpr std::uint8_t kIcmp6Echo = 128;
inline constexpr std::uint8_t kIcmp6Reply = 129;

inline constexpr std::uint8_t kTcpFin = 0x01;
inline constexpr std::uint8_t kTcpSyn = 0x02;
inline constexpr std::uint8_t kTcpRst = 0x04;
inline constexpr std::uint8_t kTcpAck = 0x10;
inline constexpr std::uint8_t kTcpUrg = 0x20;

struct Packet {
  std::uint8_t protocol = 0;
  Address source;
  Address destination;
  bool fragment = false;        // More follow, or it is not the first; of IPv6, it has that header.
  bool later_fragment = false;  // It is not the first.
  bool extended = false;        // Of IPv6: headers stand between its own and the protocol's.
  Frame ip;                     // The packet as long as it says, without what pads the frame.
  Frame payload;                // Behind its headers. A view of the frame.

  // Of UDP and whole TCP headers; otherwise 0 or empty.
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  Frame data;
  // Of TCP.
  std::uint32_t sequence = 0;
  std::uint32_t acknowledged = 0;
  std::uint8_t flags = 0;
};

inline constexpr int kMaxExtensions = 8;
// nullopt: no IPv4 and no IPv6, or cut off, or its TCP or UDP header is. Or it is of IPv6, from or
// for an address of IPv4 (::ffff:0:0/96). A fragment has no ports. Up to kMaxExtensions headers of
// IPv6 are passed over; the next one, or one that is not known, counts as the protocol.
std::optional<Packet> ParsePacket(Frame frame);

// Whether the checksum of a TCP or UDP packet is right. A receiver that checks it drops one whose
// checksum is not, and may then take another packet in its place.
bool ChecksumIsRight(const Packet& packet);

// Frames with right checksums, between two cards.
struct Ends {
  Mac from;
  Mac to;
};
inline constexpr std::uint8_t kHops = 64;
// Both addresses are of the same version. `hops`: how many routers may pass it on.
std::string MakeIp(const Ends& ends, std::uint8_t protocol, const Address& source,
                   const Address& destination, std::string_view payload, std::uint8_t hops = kHops);
// ICMPv6; `message` has zeros in the place of its checksum.
std::string MakeIcmp6(const Ends& ends, const Address& source, const Address& destination,
                      std::string message, std::uint8_t hops = kHops);

struct UdpEnds {
  Address source;
  std::uint16_t source_port = 0;
  Address destination;
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
