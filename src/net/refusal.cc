#include "net/refusal.h"

#include <algorithm>

#include "net/bytes.h"
#include "net/policy.h"

namespace pyro::net {
namespace {

constexpr std::uint8_t kIcmpEcho = 8;
// Destination unreachable, administratively prohibited.
constexpr unsigned kProhibited = 0x030d;
constexpr unsigned kProhibited6 = 0x0101;
constexpr std::size_t kQuotedBytes = 28;     // The header, and the 8 bytes that hold the ports.
constexpr std::size_t kQuotedBytes6 = 1232;  // As much as every link takes (RFC 4443).

Mac MacAt(Frame frame, std::size_t at) {
  Mac mac;
  std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), mac.size(), mac.begin());
  return mac;
}

Ends Back(Frame frame) { return {.from = kGatewayMac, .to = MacAt(frame, 6)}; }

// One of many hosts, or no host.
bool IsOneHost(const Address& address) {
  if (address.IsV4()) return address.v4() >> 28 < 0xe && address.v4() >> 24 != 0;
  return !address.none() && !IsMulticast(address);
}

bool IsGuest(const Address& address) {
  return address == kGuest || address == kGuest6 || IsLinkLocal(address);
}

bool IsQuestion(const Packet& packet) {
  if (packet.protocol != kIcmp && packet.protocol != kIcmp6) return true;
  const std::uint8_t echo = packet.protocol == kIcmp ? kIcmpEcho : kIcmp6Echo;
  return !packet.payload.empty() && packet.payload[0] == echo;
}

std::string Prohibited(unsigned what, const Packet& packet, std::size_t quoted_bytes) {
  std::string message;
  Put16(message, what);
  Put16(message, 0);
  Put32(message, 0);
  const Frame quoted = packet.ip.first(std::min(packet.ip.size(), quoted_bytes));
  message.append(reinterpret_cast<const char*>(quoted.data()), quoted.size());
  return message;
}

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
  if (!IsOneHost(packet.destination) || !IsGuest(packet.source)) return std::nullopt;
  if (packet.protocol == kTcp && !packet.fragment) {
    if ((packet.flags & kTcpRst) != 0) return std::nullopt;
    return ResetForGuest(frame, packet);
  }
  if (packet.later_fragment || !IsQuestion(packet)) return std::nullopt;
  if (!packet.source.IsV4()) {
    return MakeIcmp6(Back(frame), kGateway6, packet.source,
                     Prohibited(kProhibited6, packet, kQuotedBytes6));
  }
  std::string message = Prohibited(kProhibited, packet, kQuotedBytes);
  std::uint32_t sum = 0;
  const auto bytes = AsBytes(message);
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum += Get16(bytes, i);
  if (bytes.size() % 2 != 0) sum += static_cast<std::uint32_t>(bytes.back()) << 8;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  message[2] = static_cast<char>(~sum >> 8 & 0xff);
  message[3] = static_cast<char>(~sum & 0xff);
  return MakeIp(Back(frame), kIcmp, kGateway, packet.source, message);
}

}  // namespace pyro::net
