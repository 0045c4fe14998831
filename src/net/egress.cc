#include "net/egress.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "net/bytes.h"
#include "net/first_bytes.h"
#include "net/neighbours.h"
#include "net/refusal.h"

namespace pyro::net {
namespace {

constexpr std::uint16_t kHttpsPort = 443;
constexpr std::uint16_t kDnsOverTlsPort = 853;
constexpr std::size_t kDestinationAt = kMinFrameBytes + 16;  // Of the IPv4 header.

std::string_view ProtocolName(const Packet& packet) {
  switch (packet.protocol) {
    case kTcp:
      return "tcp";
    case kUdp:
      return "udp";
    case kIcmp:
    case kIcmp6:
      return "icmp";
    default:
      return "other";
  }
}

bool HasPorts(const Packet& packet) {
  return (packet.protocol == kTcp || packet.protocol == kUdp) && !packet.fragment;
}

bool AsksForNames(const Packet& packet) {
  return packet.destination_port == kDnsPort || packet.destination_port == kDnsOverTlsPort;
}

FlowKey KeyOfGuest(const Packet& packet) {
  return {.address = packet.destination,
          .port = packet.destination_port,
          .guest_port = packet.source_port};
}

// Where `b` lies behind `a`, in a sequence that wraps around.
std::int32_t Distance(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(b - a); }

// Whether the bytes from `offset` on are those of `known`, as far as both have any there.
bool Agrees(std::string_view known, std::size_t offset, Frame data) {
  if (offset >= known.size()) return true;
  const std::size_t count = std::min(known.size() - offset, data.size());
  return count == 0 || std::memcmp(known.data() + offset, data.data(), count) == 0;
}

// A client that ends here was in the middle of TLS or of a request.
bool WasCutOff(std::string_view beginning) {
  return !beginning.empty() &&
         (beginning[0] == 0x16 || beginning.find_first_of(" \t\n") != std::string_view::npos);
}

}  // namespace

void Egress::SetPolicy(Policy policy, LocalNetworks local, SteadyTime now) {
  const bool looked = looks();
  policy_ = std::move(policy);
  local_ = std::move(local);
  if (!looked || !looks()) return;
  for (Flow& flow : flows_.flows()) {
    Packet packet;
    packet.protocol = kTcp;
    packet.destination = flow.key.address;
    packet.destination_port = flow.key.port;
    Reason reason = AskPacket(packet);
    if (reason == Reason::kNotAllowed) reason = AskByNames(packet, now, nullptr);
    if (reason == Reason::kNone) continue;
    const std::size_t before = flow.bytes();
    flow.state = Flow::State::kRefused;
    flow.beginning.clear();
    flow.held.clear();
    flows_.CountBytes(flow, before);
  }
}

// What rules with addresses say. kNotAllowed: names may still allow it.
Reason Egress::AskPacket(const Packet& packet) const {
  if (!policy_.empty() && packet.fragment) return Reason::kProtocol;
  const std::uint16_t port = HasPorts(packet) ? packet.destination_port : 0;
  if (looks()) {
    const bool icmp = packet.protocol == kIcmp || packet.protocol == kIcmp6;
    if (!HasPorts(packet) && !icmp) return Reason::kProtocol;
    if (HasPorts(packet) && AsksForNames(packet) && !IsNever(packet.destination) &&
        !policy_.HasAddressRule(packet.destination, port)) {
      return Reason::kOtherResolver;
    }
  }
  return policy_.AskAddress(packet.destination, port, IsLocal(packet.destination));
}

// What the names say that led to the address; `name` becomes the one that is closest.
Reason Egress::AskByNames(const Packet& packet, SteadyTime now, std::string* name) {
  const std::uint16_t port = HasPorts(packet) ? packet.destination_port : 0;
  const auto& names = names_.NamesOf(packet.destination, now);
  Reason reason = Reason::kNotAllowed;
  for (const std::string& one : names) {
    reason = policy_.AskName(one, port);
    if (name != nullptr) *name = one;
    if (reason == Reason::kNone) break;
  }
  const auto names_it = [&](const Rule& rule) {
    return rule.allow && (rule.kind == Rule::Kind::kName || rule.kind == Rule::Kind::kBelow) &&
           rule.HasPort(port);
  };
  if (names.empty() && std::any_of(policy_.rules().begin(), policy_.rules().end(), names_it)) {
    return Reason::kNameUnknown;
  }
  const bool quic = packet.protocol == kUdp && port == kHttpsPort;
  return reason == Reason::kNone && quic ? Reason::kQuic : reason;
}

// Of names in a connection.
Reason Egress::JudgeNames(const Flow& flow, const std::vector<std::string>& names, SteadyTime now,
                          std::string* name) {
  const bool by_address = policy_.AskAddress(flow.key.address, flow.key.port,
                                             IsLocal(flow.key.address)) == Reason::kNone;
  for (const std::string& one : names) {
    *name = one;
    const Reason reason = policy_.AskName(one, flow.key.port);
    if (reason == Reason::kDenied) return reason;
    if (by_address) continue;
    if (reason != Reason::kNone) return Reason::kOtherName;
    const auto& known = names_.NamesOf(flow.key.address, now);
    if (std::find(known.begin(), known.end(), one) == known.end()) return Reason::kOtherName;
  }
  return Reason::kNone;
}

void Egress::Refuse(Frame frame, const Packet& packet, Reason reason, std::string name) {
  if (const auto answer = Refusal(frame, packet)) sink_.ToGuest(AsBytes(*answer));
  denials_.Add({.reason = reason,
                .protocol = std::string(ProtocolName(packet)),
                .name = CanonicalName(name) ? std::move(name) : std::string(),
                .address = packet.destination,
                .port = HasPorts(packet) ? packet.destination_port : std::uint16_t{0}});
}

// Both sides learn that the connection is over; what was held of it is dropped.
void Egress::RefuseFlow(Flow& flow, Frame frame, const Packet& packet, Reason reason,
                        std::string name) {
  Pass(AsBytes(ResetForOutside(frame, packet, flow.acknowledged)));
  const std::size_t before = flow.bytes();
  flow.state = Flow::State::kRefused;
  flow.beginning.clear();
  flow.held.clear();
  flows_.CountBytes(flow, before);
  Refuse(frame, packet, reason, std::move(name));
}

// Each frame that leaves goes here, with a header of IPv4 or IPv6.
void Egress::Pass(Frame frame) {
  const bool v4 = Get16(frame, 12) == kTypeIpv4;
  if (v4 && served_.Has(Get32(frame, kDestinationAt))) return sink_.ToServed(frame);
  sink_.ToOutside(frame);
}

// The proxy judges what is for a host and port that it serves; the rules judge its other ports.
void Egress::TakeServed(Frame frame, const Packet& packet, SteadyTime now) {
  const std::string* name = served_.NameAt(packet.destination.v4());
  if (name == nullptr) return Refuse(frame, packet, Reason::kNameUnknown, {});
  if (packet.protocol != kTcp || packet.fragment) {
    const bool quic = packet.protocol == kUdp && packet.destination_port == kHttpsPort;
    return Refuse(frame, packet, quic ? Reason::kQuic : Reason::kProtocol, *name);
  }
  const std::uint16_t port = packet.destination_port;
  const Reason reason = policy_.AskName(*name, port);
  if (reason == Reason::kDenied) return Refuse(frame, packet, reason, *name);
  if (served_.Serves(*name, port)) return sink_.ToServed(frame);
  if (reason != Reason::kNone) return Refuse(frame, packet, reason, *name);
  if (!looks()) return sink_.ToServed(frame);
  names_.Remember(*name, packet.destination, NameTable::kMost, now);
  TakeTcp(frame, packet, now);
}

// Questions for cards have their answer here; what else of ICMPv6 a kernel sends unasked has none.
bool Egress::TakeNeighbours(Frame frame, const Packet& packet) {
  Mac mac;
  std::copy_n(frame.begin() + 6, mac.size(), mac.begin());
  const auto asked = NeighbourAsked(packet);
  // The back end could not answer a guest whose card it does not know.
  if (mac != told_ || asked == kGateway6) {
    told_ = mac;
    const std::string request = GatewayRequest6(mac);
    sink_.ToOutside(AsBytes(request));
  }
  // Other addresses of the link do not exist: packets for them come here, and are refused.
  if (asked && asked != kGateway6) {
    const std::string answer = NeighbourAnswer(mac, packet.source, *asked);
    sink_.ToGuest(AsBytes(answer));
  }
  const bool echo = !packet.payload.empty() && packet.payload[0] == kIcmp6Echo;
  return packet.protocol == kIcmp6 && !echo;
}

bool Egress::IsOfGuest(const Packet& packet) const {
  if (packet.source.IsV4()) return packet.source == kGuest;
  // A guest has an address of the link, too, and learns that nothing is reached from there.
  return ipv6_ && (packet.source == kGuest6 || IsLinkLocal(packet.source));
}

void Egress::FromGuest(Frame frame, SteadyTime now) {
  if (frame.size() >= kMinFrameBytes && Get16(frame, 12) == kTypeArp) {
    if (MayLeave(frame)) sink_.ToOutside(frame);
    return;
  }
  const auto packet = ParsePacket(frame);
  if (!packet || !IsOfGuest(*packet)) return;
  if (!packet->source.IsV4() && TakeNeighbours(frame, *packet)) return;
  if (!MayLeave(frame)) {
    const Reason reason = packet->destination == kResolver ? Reason::kOtherResolver
                          : IsNever(packet->destination)   ? Reason::kNever
                                                           : Reason::kProtocol;
    return Refuse(frame, *packet, reason, {});
  }
  if (packet->destination.IsV4() && served_.Has(packet->destination.v4())) {
    return TakeServed(frame, *packet, now);
  }
  if (packet->destination == kResolver) {
    if (packet->protocol == kUdp && AnswerServed(frame, *packet)) return;
    if (!looks()) return Pass(frame);
    if (packet->protocol == kUdp) return TakeQuestion(frame, *packet, now);
    return Refuse(frame, *packet, Reason::kOtherResolver, {});
  }
  if (looks() && packet->protocol == kTcp && !packet->fragment) {
    return TakeTcp(frame, *packet, now);
  }
  Reason reason = AskPacket(*packet);
  std::string name;
  if (reason == Reason::kNotAllowed) reason = AskByNames(*packet, now, &name);
  if (reason == Reason::kNone) return Pass(frame);
  Refuse(frame, *packet, reason, std::move(name));
}

void Egress::TakeTcp(Frame frame, const Packet& packet, SteadyTime now) {
  Flow* flow = flows_.Find(KeyOfGuest(packet));
  if ((packet.flags & (kTcpSyn | kTcpAck)) == kTcpSyn) return TakeSyn(frame, packet, flow, now);
  if (flow == nullptr) {
    if ((packet.flags & kTcpRst) != 0) return;
    return Refuse(frame, packet, Reason::kUnknownFlow, {});
  }
  switch (flow->state) {
    case Flow::State::kRefused:
      if (const auto answer = Refusal(frame, packet)) sink_.ToGuest(AsBytes(*answer));
      return;
    case Flow::State::kLooking:
      return Look(frame, packet, *flow, now);
    case Flow::State::kJudged:
      return Compare(frame, packet, *flow);
    case Flow::State::kOpen:
      return Pass(frame);
  }
}

void Egress::TakeSyn(Frame frame, const Packet& packet, Flow* flow, SteadyTime now) {
  if (flow != nullptr && flow->state != Flow::State::kRefused &&
      flow->first == packet.sequence + 1 && packet.data.empty()) {
    return Pass(frame);  // The same once more.
  }
  Reason reason = AskPacket(packet);
  const bool by_address = reason == Reason::kNone;
  std::string name;
  if (reason == Reason::kNotAllowed) reason = AskByNames(packet, now, &name);
  // Bytes in a SYN would be taken before they could be looked at.
  if (reason == Reason::kNone && !packet.data.empty()) reason = Reason::kProtocol;
  if (reason != Reason::kNone) return Refuse(frame, packet, reason, std::move(name));
  Flow& made = flows_.Make(KeyOfGuest(packet));
  made.first = packet.sequence + 1;
  made.acknowledged = made.first;
  made.state = by_address && !policy_.denies_names() ? Flow::State::kOpen : Flow::State::kLooking;
  Pass(frame);
}

void Egress::Look(Frame frame, const Packet& packet, Flow& flow, SteadyTime now) {
  const bool ends = (packet.flags & kTcpFin) != 0;
  if ((packet.flags & kTcpRst) != 0) return Pass(frame);
  if (packet.data.empty() && !ends) return Pass(frame);
  // A receiver that checks it would drop the segment, and take the next in its place.
  if (!ChecksumIsRight(packet)) return;
  // The other side may have dropped the SYN and kept a connection with other numbers: what is first
  // by this SYN would be old bytes there, and the next ones the first that it reads.
  if (!flow.answered) return Refuse(frame, packet, Reason::kUnknownFlow, {});
  const std::int32_t offset = Distance(flow.first, packet.sequence);
  const std::size_t known = flow.beginning.size();
  // The guest sends again what comes too early.
  if (offset < 0 || static_cast<std::size_t>(offset) > known) return;
  if (flow.held.empty()) flow.since = now;
  const auto at = static_cast<std::size_t>(offset);
  // Urgent bytes may be taken out of the stream by a receiver, or not.
  if ((packet.flags & kTcpUrg) != 0 || !Agrees(flow.beginning, at, packet.data) ||
      now - flow.since > kBeginningLimit || flows_.full()) {
    return RefuseFlow(flow, frame, packet, Reason::kOtherName, {});
  }
  if (at + packet.data.size() <= known && !ends) return;
  const std::size_t before = flow.bytes();
  const std::size_t fresh = at + packet.data.size() > known ? known - at : packet.data.size();
  flow.beginning.append(reinterpret_cast<const char*>(packet.data.data()) + fresh,
                        packet.data.size() - fresh);
  flow.held.emplace_back(reinterpret_cast<const char*>(frame.data()), frame.size());
  flows_.CountBytes(flow, before);
  const FirstLook look = LookAtFirstBytes(AsBytes(flow.beginning));
  std::string name;
  Reason reason = Reason::kNone;
  switch (look.kind) {
    case FirstLook::Kind::kMore:
      if (!ends) return;
      if (WasCutOff(flow.beginning)) reason = Reason::kOtherName;
      break;
    case FirstLook::Kind::kNoName:
      break;
    case FirstLook::Kind::kNames:
      reason = JudgeNames(flow, look.names, now, &name);
      break;
    case FirstLook::Kind::kBad:
      reason = Reason::kOtherName;
      break;
  }
  if (reason != Reason::kNone) {
    return RefuseFlow(flow, frame, packet, reason, std::move(name));
  }
  Release(flow);
}

void Egress::Release(Flow& flow) {
  const std::size_t before = flow.bytes();
  for (const std::string& frame : std::exchange(flow.held, {})) Pass(AsBytes(frame));
  flow.state = Flow::State::kJudged;
  flows_.CountBytes(flow, before);
}

// Until the receiver has the beginning that was judged, it gets no other.
void Egress::Compare(Frame frame, const Packet& packet, Flow& flow) {
  const std::int32_t offset = Distance(flow.first, packet.sequence);
  if (offset < 0) {
    // As of a probe that keeps the connection alive, which holds no byte that is new.
    if (packet.data.empty()) Pass(frame);
    return;
  }
  if (!Agrees(flow.beginning, static_cast<std::size_t>(offset), packet.data)) {
    return RefuseFlow(flow, frame, packet, Reason::kOtherName, {});
  }
  Pass(frame);
}

void Egress::FromOutside(Frame frame, SteadyTime now) {
  if (frame.size() >= kMinFrameBytes && Get16(frame, 12) == kTypeIpv6) {
    if (!ipv6_) return;
    if (IsGatewayReply6(frame)) {
      const std::string answer = NeighbourAnswer(told_, kGuest6, kGateway6);
      return sink_.ToGuest(AsBytes(answer));
    }
  }
  if (!MayArrive(frame)) return;
  if (looks()) {
    const auto packet = ParsePacket(frame);
    if (packet && packet->protocol == kUdp && !packet->fragment && packet->source == kResolver &&
        packet->source_port == kDnsPort && TakeAnswer(frame, *packet, now)) {
      return;
    }
    if (packet && packet->protocol == kTcp && !packet->fragment) {
      Flow* flow = flows_.Find({.address = packet->source,
                                .port = packet->source_port,
                                .guest_port = packet->destination_port});
      constexpr std::uint8_t kTakes = kTcpSyn | kTcpAck;
      if (flow != nullptr && (packet->flags & kTakes) == kTakes) {
        flow->answered |= packet->acknowledged == flow->first;
      }
      if (flow != nullptr && (packet->flags & kTcpAck) != 0 && flow->state != Flow::State::kOpen &&
          Distance(flow->acknowledged, packet->acknowledged) > 0) {
        flow->acknowledged = packet->acknowledged;
        const auto beginning = static_cast<std::uint32_t>(flow->beginning.size());
        if (flow->state == Flow::State::kJudged &&
            Distance(flow->first + beginning, packet->acknowledged) >= 0) {
          const std::size_t before = flow->bytes();
          flow->state = Flow::State::kOpen;
          flow->beginning = std::string();
          flows_.CountBytes(*flow, before);
        }
      }
    }
  }
  sink_.ToGuest(frame);
}

}  // namespace pyro::net
