#include "net/packet.h"

#include <array>

#include "net/bytes.h"

namespace pyro::net {
namespace {

constexpr std::size_t kIpv4HeaderBytes = 20;
constexpr std::size_t kTcpHeaderBytes = 20;
constexpr std::size_t kUdpHeaderBytes = 8;
constexpr std::size_t kIpv6HeaderBytes = 40;

// Headers of IPv6 that stand before the protocol's.
constexpr std::uint8_t kHopByHop = 0;
constexpr std::uint8_t kRouting = 43;
constexpr std::uint8_t kFragment = 44;
constexpr std::uint8_t kDestinationOptions = 60;
constexpr std::size_t kExtensionUnit = 8;

class Sum {
 public:
  void Add(std::span<const std::uint8_t> bytes) {
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum_ += Get16(bytes, i);
    if (bytes.size() % 2 != 0) sum_ += static_cast<std::uint32_t>(bytes.back()) << 8;
  }
  void Add(std::uint32_t value) { sum_ += (value >> 16) + (value & 0xffff); }

  std::uint16_t Folded() const {
    std::uint64_t sum = sum_;
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum & 0xffff);
  }

 private:
  std::uint64_t sum_ = 0;
};

Sum PseudoHeader(const Address& source, const Address& destination, std::uint8_t protocol,
                 std::size_t size) {
  std::string addresses;
  PutAddress(addresses, source);
  PutAddress(addresses, destination);
  Sum sum;
  sum.Add(AsBytes(addresses));
  sum.Add(std::uint32_t{protocol});
  sum.Add(static_cast<std::uint32_t>(size));
  return sum;
}

void SetChecksum(std::string& bytes, std::size_t at, std::uint16_t value) {
  bytes[at] = static_cast<char>(value >> 8);
  bytes[at + 1] = static_cast<char>(value & 0xff);
}

bool ParseTransport(Packet& packet) {
  const bool tcp = packet.protocol == kTcp;
  const Frame all = packet.payload;
  if (all.size() < (tcp ? kTcpHeaderBytes : kUdpHeaderBytes)) return false;
  packet.source_port = Get16(all, 0);
  packet.destination_port = Get16(all, 2);
  if (!tcp) {
    const std::size_t length = Get16(all, 4);
    if (length < kUdpHeaderBytes || length > all.size()) return false;
    packet.data = all.subspan(kUdpHeaderBytes, length - kUdpHeaderBytes);
    return true;
  }
  packet.sequence = Get32(all, 4);
  packet.acknowledged = Get32(all, 8);
  const std::size_t header = static_cast<std::size_t>(all[12] >> 4) * 4;
  if (header < kTcpHeaderBytes || header > all.size()) return false;
  packet.flags = all[13];
  packet.data = all.subspan(header);
  return true;
}

std::optional<Packet> WithTransport(Packet packet) {
  const bool ports = packet.protocol == kTcp || packet.protocol == kUdp;
  if (ports && !packet.fragment && !ParseTransport(packet)) return std::nullopt;
  return packet;
}

std::optional<Packet> ParseIpv4Packet(Frame ip) {
  if (ip.size() < kIpv4HeaderBytes) return std::nullopt;
  const std::size_t header = static_cast<std::size_t>(ip[0] & 0x0f) * 4;
  const std::size_t length = Get16(ip, 2);
  if (ip[0] >> 4 != 4 || header < kIpv4HeaderBytes || length < header || length > ip.size()) {
    return std::nullopt;
  }
  Packet packet;
  packet.ip = ip.first(length);
  packet.payload = packet.ip.subspan(header);
  packet.protocol = ip[9];
  packet.source = Get32(ip, 12);
  packet.destination = Get32(ip, 16);
  packet.fragment = (Get16(ip, 6) & 0x3fff) != 0;
  packet.later_fragment = (Get16(ip, 6) & 0x1fff) != 0;
  return WithTransport(packet);
}

std::optional<Packet> ParseIpv6Packet(Frame ip) {
  if (ip.size() < kIpv6HeaderBytes || ip[0] >> 4 != 6) return std::nullopt;
  const std::size_t length = Get16(ip, 4);
  if (length > ip.size() - kIpv6HeaderBytes) return std::nullopt;
  Packet packet;
  packet.ip = ip.first(kIpv6HeaderBytes + length);
  packet.source = GetAddress(ip, 8);
  packet.destination = GetAddress(ip, 24);
  if (packet.source.IsV4() || packet.destination.IsV4()) return std::nullopt;
  packet.protocol = ip[6];
  Frame rest = packet.ip.subspan(kIpv6HeaderBytes);
  for (int i = 0; i < kMaxExtensions && !packet.fragment; ++i) {
    const bool fragment = packet.protocol == kFragment;
    if (!fragment && packet.protocol != kHopByHop && packet.protocol != kRouting &&
        packet.protocol != kDestinationOptions) {
      break;
    }
    if (rest.size() < kExtensionUnit) return std::nullopt;
    const std::size_t size =
        fragment ? kExtensionUnit : (rest[1] + std::size_t{1}) * kExtensionUnit;
    if (rest.size() < size) return std::nullopt;
    packet.extended = true;
    packet.fragment = fragment;
    packet.later_fragment = fragment && Get16(rest, 2) >> 3 != 0;
    packet.protocol = rest[0];
    rest = rest.subspan(size);
  }
  packet.payload = rest;
  return WithTransport(packet);
}

}  // namespace

std::optional<Packet> ParsePacket(Frame frame) {
  if (frame.size() < kMinFrameBytes) return std::nullopt;
  const Frame ip = frame.subspan(kMinFrameBytes);
  switch (Get16(frame, 12)) {
    case kTypeIpv4:
      return ParseIpv4Packet(ip);
    case kTypeIpv6:
      return ParseIpv6Packet(ip);
    default:
      return std::nullopt;
  }
}

bool ChecksumIsRight(const Packet& packet) {
  if (packet.protocol == kUdp && packet.source.IsV4() && Get16(packet.payload, 6) == 0) {
    return true;  // It has none.
  }
  Sum sum = PseudoHeader(packet.source, packet.destination, packet.protocol, packet.payload.size());
  sum.Add(packet.payload);
  return sum.Folded() == 0;
}

std::string MakeIp(const Ends& ends, std::uint8_t protocol, const Address& source,
                   const Address& destination, std::string_view payload, std::uint8_t hops) {
  std::string frame(ends.to.begin(), ends.to.end());
  frame.append(ends.from.begin(), ends.from.end());
  if (!source.IsV4()) {
    Put16(frame, kTypeIpv6);
    Put32(frame, 0x60000000);
    Put16(frame, static_cast<unsigned>(payload.size()));
    Put8(frame, protocol);
    Put8(frame, hops);
    PutAddress(frame, source);
    PutAddress(frame, destination);
    return frame.append(payload);
  }
  Put16(frame, kTypeIpv4);
  Put16(frame, 0x4500);
  Put16(frame, static_cast<unsigned>(kIpv4HeaderBytes + payload.size()));
  Put32(frame, 0x00004000);  // No identification, not to be cut up.
  Put8(frame, hops);
  Put8(frame, protocol);
  Put16(frame, 0);
  PutAddress(frame, source);
  PutAddress(frame, destination);
  Sum sum;
  sum.Add(AsBytes(frame).subspan(kMinFrameBytes));
  SetChecksum(frame, kMinFrameBytes + 10, sum.Folded());
  return frame.append(payload);
}

std::string MakeIcmp6(const Ends& ends, const Address& source, const Address& destination,
                      std::string message, std::uint8_t hops) {
  Sum sum = PseudoHeader(source, destination, kIcmp6, message.size());
  sum.Add(AsBytes(message));
  SetChecksum(message, 2, sum.Folded());
  return MakeIp(ends, kIcmp6, source, destination, message, hops);
}

std::string MakeUdp(const Ends& ends, const UdpEnds& udp, std::string_view data) {
  std::string payload;
  Put16(payload, udp.source_port);
  Put16(payload, udp.destination_port);
  Put16(payload, static_cast<unsigned>(kUdpHeaderBytes + data.size()));
  Put16(payload, 0);
  payload.append(data);
  Sum sum = PseudoHeader(udp.source, udp.destination, kUdp, payload.size());
  sum.Add(AsBytes(payload));
  const std::uint16_t checksum = sum.Folded();
  SetChecksum(payload, 6, checksum == 0 ? 0xffff : checksum);
  return MakeIp(ends, kUdp, udp.source, udp.destination, payload);
}

std::string MakeTcp(const Ends& ends, const Segment& segment) {
  std::string payload;
  Put16(payload, segment.ends.source_port);
  Put16(payload, segment.ends.destination_port);
  Put32(payload, segment.sequence);
  Put32(payload, segment.acknowledged);
  Put16(payload, 0x5000u | segment.flags);
  Put16(payload, 0);  // No window: nothing more is taken.
  Put32(payload, 0);
  Sum sum = PseudoHeader(segment.ends.source, segment.ends.destination, kTcp, payload.size());
  sum.Add(AsBytes(payload));
  SetChecksum(payload, 16, sum.Folded());
  return MakeIp(ends, kTcp, segment.ends.source, segment.ends.destination, payload);
}

}  // namespace pyro::net
