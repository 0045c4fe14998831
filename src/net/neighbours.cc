#include "net/neighbours.h"

#include <algorithm>

#include "net/bytes.h"
#include "net/policy.h"

namespace pyro::net {
namespace {

constexpr std::uint8_t kAsks = 135;
constexpr std::uint8_t kTells = 136;
// No router has passed such a message on.
constexpr std::uint8_t kAllHops = 255;
constexpr std::size_t kHopsAt = 7;
constexpr std::size_t kTargetAt = 8;
constexpr std::size_t kMessageBytes = 24;
constexpr std::uint32_t kAnswersOverriding =
    0x60000000;                        // Asked for, and newer than what is known.
constexpr unsigned kOwnCard = 0x0101;  // An option of 8 bytes.
constexpr unsigned kTargetCard = 0x0201;
constexpr Mac kAllMacs = {0x33, 0x33, 0xff, 0, 0, 2};  // Those that listen for the gateway.
constexpr Address kAllListeners{0xff02000000000000, 0x00000001ff000002};

std::string Message(std::uint8_t type, std::uint32_t flags, const Address& target, unsigned option,
                    const Mac& mac) {
  std::string message;
  Put8(message, type);
  Put8(message, 0);
  Put16(message, 0);
  Put32(message, flags);
  PutAddress(message, target);
  Put16(message, option);
  message.append(mac.begin(), mac.end());
  return message;
}

std::optional<Address> TargetOf(const Packet& packet, std::uint8_t type) {
  if (packet.protocol != kIcmp6 || packet.source.IsV4() || packet.extended ||
      packet.payload.size() < kMessageBytes || packet.payload[0] != type ||
      packet.payload[1] != 0 || packet.ip[kHopsAt] != kAllHops) {
    return std::nullopt;
  }
  return GetAddress(packet.payload, kTargetAt);
}

}  // namespace

std::optional<Address> NeighbourAsked(const Packet& packet) {
  const auto target = TargetOf(packet, kAsks);
  const bool own = packet.source == kGuest6 || IsLinkLocal(packet.source);
  if (!target || !own || *target == packet.source || *target == kGuest6) return std::nullopt;
  if (target->none() || target->IsV4() || IsMulticast(*target)) return std::nullopt;
  return target;
}

std::string NeighbourAnswer(const Mac& guest, const Address& guest_address, const Address& asked) {
  return MakeIcmp6({.from = kGatewayMac, .to = guest}, asked, guest_address,
                   Message(kTells, kAnswersOverriding, asked, kTargetCard, kGatewayMac), kAllHops);
}

std::string GatewayRequest6(const Mac& guest) {
  return MakeIcmp6({.from = guest, .to = kAllMacs}, kGuest6, kAllListeners,
                   Message(kAsks, 0, kGateway6, kOwnCard, guest), kAllHops);
}

bool IsGatewayReply6(Frame frame) {
  const auto packet = ParsePacket(frame);
  return packet && TargetOf(*packet, kTells) == kGateway6;
}

}  // namespace pyro::net
