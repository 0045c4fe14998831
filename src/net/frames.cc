#include "net/frames.h"

#include <algorithm>

#include "net/bytes.h"
#include "net/packet.h"
#include "net/policy.h"

namespace pyro::net {
namespace {

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kArpBytes = 28;
constexpr std::size_t kIpv4Bytes = 20;
constexpr std::size_t kTcpBytes = 20;
constexpr std::size_t kTcpFlagsAt = 13;
constexpr std::uint8_t kTcpFlags = 0x3f;  // Without those of congestion: alone they are none.

bool IsIn(Ipv4 address, Ipv4 network, int prefix) {
  return (address >> (32 - prefix)) == (network >> (32 - prefix));
}

bool IsOutside(Ipv4 address) {
  return !IsIn(address, 0x00000000, 8) && !IsIn(address, 0x7f000000, 8) &&
         !IsIn(address, 0xa9fe0000, 16) && !IsIn(address, 0xe0000000, 3) &&
         !IsIn(address, kNetwork, kPrefix);
}

bool MayLeaveIpv4(Frame packet) {
  if (packet.size() < kIpv4Bytes || packet[0] != 0x45) return false;
  const std::size_t length = Get16(packet, 2);
  if (length < kIpv4Bytes || length > packet.size()) return false;
  if (Get32(packet, 12) != kGuest) return false;
  const Ipv4 destination = Get32(packet, 16);
  if (destination != kResolver) return IsOutside(destination);
  const bool fragment = (Get16(packet, 6) & 0x3fff) != 0;  // More to come, or not the first.
  const bool has_port = packet[9] == kTcp || packet[9] == kUdp;
  return has_port && !fragment && length >= kIpv4Bytes + 4 && Get16(packet, kIpv4Bytes + 2) == 53;
}

// What of ICMPv6 tells that a packet did not arrive has a smaller number than this.
constexpr std::uint8_t kFirstInformation = 128;

bool MayLeaveIpv6(Frame frame) {
  const auto packet = ParsePacket(frame);
  if (!packet || packet->extended || packet->source != kGuest6) return false;
  if (IsNever(packet->destination)) return false;
  if (packet->protocol == kTcp || packet->protocol == kUdp) return true;
  return packet->protocol == kIcmp6 && !packet->payload.empty() && packet->payload[0] == kIcmp6Echo;
}

bool MayArriveIpv6(Frame frame) {
  const auto packet = ParsePacket(frame);
  if (!packet || packet->extended || packet->destination != kGuest6) return false;
  if (packet->protocol == kTcp) return (packet->flags & kTcpFlags) != 0;
  if (packet->protocol == kUdp) return true;
  return packet->protocol == kIcmp6 && !packet->payload.empty() &&
         (packet->payload[0] == kIcmp6Reply || packet->payload[0] < kFirstInformation);
}

void Put(std::string& text, std::initializer_list<int> bytes) {
  for (const int byte : bytes) text.push_back(static_cast<char>(byte));
}

}  // namespace

void FrameReader::Feed(std::string_view bytes) {
  if (broken_) return;
  if (start_ != 0) buffer_.erase(0, std::exchange(start_, 0));
  buffer_.append(bytes);
}

Result<std::optional<Frame>> FrameReader::Next() {
  const Frame rest(reinterpret_cast<const std::uint8_t*>(buffer_.data()) + start_,
                   buffer_.size() - start_);
  if (!broken_) {
    if (rest.size() < kLengthBytes) return std::optional<Frame>();
    const std::size_t length = Get32(rest, 0);
    if (length >= kMinFrameBytes && length <= kMaxFrameBytes) {
      if (rest.size() - kLengthBytes < length) return std::optional<Frame>();
      start_ += kLengthBytes + length;
      return std::optional<Frame>(rest.subspan(kLengthBytes, length));
    }
  }
  broken_ = true;
  return MakeError(ErrorCode::kProtocol, "a frame of an impossible length");
}

void AppendFrame(std::string& stream, Frame frame) {
  Put32(stream, static_cast<std::uint32_t>(frame.size()));
  stream.append(reinterpret_cast<const char*>(frame.data()), frame.size());
}

bool MayLeave(Frame frame) {
  if (frame.size() < kMinFrameBytes || frame.size() > kMaxFrameBytes) return false;
  const Frame payload = frame.subspan(kMinFrameBytes);
  switch (Get16(frame, 12)) {
    case kTypeArp:
      return payload.size() >= kArpBytes && Get32(payload, 14) == kGuest;
    case kTypeIpv4:
      return MayLeaveIpv4(payload);
    case kTypeIpv6:
      return MayLeaveIpv6(frame);
    default:
      return false;
  }
}

bool MayArrive(Frame frame) {
  if (frame.size() >= kMinFrameBytes && Get16(frame, 12) == kTypeIpv6) return MayArriveIpv6(frame);
  if (frame.size() < kMinFrameBytes + kIpv4Bytes || Get16(frame, 12) != kTypeIpv4) return true;
  const Frame packet = frame.subspan(kMinFrameBytes);
  const std::size_t header = static_cast<std::size_t>(packet[0] & 0x0f) * 4;
  const bool later_fragment = (Get16(packet, 6) & 0x1fff) != 0;
  if (packet[9] != kTcp || later_fragment || packet.size() < header + kTcpBytes) return true;
  return (packet[header + kTcpFlagsAt] & kTcpFlags) != 0;
}

std::string GatewayRequest(const Mac& guest) {
  std::string frame(6, '\xff');
  frame.append(guest.begin(), guest.end());
  Put(frame, {0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1});
  frame.append(guest.begin(), guest.end());
  Put32(frame, kGuest);
  frame.append(6, '\0');
  Put32(frame, kGateway);
  return frame;
}

bool IsGatewayReply(Frame frame) {
  return frame.size() >= kMinFrameBytes + kArpBytes && Get16(frame, 12) == kTypeArp &&
         Get16(frame, 20) == 2 && Get32(frame, 28) == kGateway;
}

}  // namespace pyro::net
