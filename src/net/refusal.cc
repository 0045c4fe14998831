#include "net/refusal.h"

#include <algorithm>

#include "net/bytes.h"

namespace pyro::net {
namespace {

constexpr std::uint8_t kIcmpEcho = 8;
constexpr unsigned kProhibited = 0x030d;  // Destination unreachable, administratively prohibited.
constexpr std::size_t kQuotedBytes = 28;  // The header, and the 8 bytes that hold the ports.

Mac MacAt(Frame frame, std::size_t at) {
  Mac mac;
  std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), mac.size(), mac.begin());
  return mac;
}

Ends Back(Frame frame) { return {.from = kGatewayMac, .to = MacAt(frame, 6)}; }

// One of many hosts, or no host.
bool IsOneHost(Ipv4 address) { return address >> 28 < 0xe && address >> 24 != 0; }

}  // namespace

std::string ResetForGuest(Frame frame, const Packet& packet) {
  const bool syn = (packet.flags & kTcpSyn) != 0;
  const bool fin = (packet.flags & kTcpFin) != 0;
  const bool acknowledges = (packet.flags & kTcpAck) != 0;
  const auto length =
      static_cast<std::uint32_t>(packet.data.size()) + (syn ? 1 : 0) + (fin ? 1 : 0);
  // A guest takes a RST with the number that it expects next, which its own segment says.
  return MakeTcp(Back(frame), {.ends = {.source = packet.destination,
                                        .source_port = packet.destination_port,
                                        .destination = packet.source,
                                        .destination_port = packet.source_port},
                               .sequence = acknowledges ? packet.acknowledged : 0,
                               .acknowledged = packet.sequence + length,
                               .flags = static_cast<std::uint8_t>(kTcpRst | kTcpAck)});
}

std::string ResetForOutside(Frame frame, const Packet& packet, std::uint32_t taken) {
  return MakeTcp({.from = MacAt(frame, 6), .to = MacAt(frame, 0)},
                 {.ends = {.source = packet.source,
                           .source_port = packet.source_port,
                           .destination = packet.destination,
                           .destination_port = packet.destination_port},
                  .sequence = taken,
                  .acknowledged = packet.acknowledged,
                  .flags = static_cast<std::uint8_t>(kTcpRst | kTcpAck)});
}

std::optional<std::string> Refusal(Frame frame, const Packet& packet) {
  if (!IsOneHost(packet.destination) || packet.source != kGuest) return std::nullopt;
  if (packet.protocol == kTcp && !packet.fragment) {
    if ((packet.flags & kTcpRst) != 0) return std::nullopt;
    return ResetForGuest(frame, packet);
  }
  if ((Get16(packet.ip, 6) & 0x1fff) != 0) return std::nullopt;
  if (packet.protocol == kIcmp && (packet.payload.empty() || packet.payload[0] != kIcmpEcho)) {
    return std::nullopt;
  }
  std::string message;
  Put16(message, kProhibited);
  Put16(message, 0);
  Put32(message, 0);
  const Frame quoted = packet.ip.first(std::min(packet.ip.size(), kQuotedBytes));
  message.append(reinterpret_cast<const char*>(quoted.data()), quoted.size());
  std::uint32_t sum = 0;
  const auto bytes = AsBytes(message);
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum += Get16(bytes, i);
  if (bytes.size() % 2 != 0) sum += static_cast<std::uint32_t>(bytes.back()) << 8;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  message[2] = static_cast<char>(~sum >> 8 & 0xff);
  message[3] = static_cast<char>(~sum & 0xff);
  return MakeIpv4(Back(frame), kIcmp, kGateway, packet.source, message);
}

}  // namespace pyro::net
