// The questions for names: each is answered here, or asked in a message of our own. So is its
// answer.

#include <algorithm>
#include <utility>

#include "net/bytes.h"
#include "net/egress.h"
#include "net/refusal.h"

namespace pyro::net {
namespace {

constexpr std::uint16_t kTypeSrv = 33;
constexpr std::chrono::seconds kServedTtl{60};

Mac MacIn(Frame frame, std::size_t at) {
  Mac mac;
  std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), mac.size(), mac.begin());
  return mac;
}

// `message` in the place of the frame's own.
std::string WithMessage(Frame frame, const Packet& packet, const std::string& message) {
  return MakeUdp({.from = MacIn(frame, 6), .to = MacIn(frame, 0)},
                 {.source = packet.source,
                  .source_port = packet.source_port,
                  .destination = packet.destination,
                  .destination_port = packet.destination_port},
                 message);
}

// Programs ask for them on their own, so that a refusal says nothing to people.
bool IsNameOfAddress(std::string_view name) {
  return name.ends_with(".in-addr.arpa") || name.ends_with(".ip6.arpa");
}

// _http._tcp.registry.example is asked for on the way to registry.example.
std::string_view WithoutService(std::string_view name) {
  while (name.starts_with('_') && name.find('.') != std::string_view::npos) {
    name.remove_prefix(name.find('.') + 1);
  }
  return name;
}

}  // namespace

void Egress::Answer(Frame frame, const Packet& packet, const std::string& message) {
  const std::string answer = MakeUdp({.from = MacIn(frame, 0), .to = MacIn(frame, 6)},
                                     {.source = packet.destination,
                                      .source_port = packet.destination_port,
                                      .destination = packet.source,
                                      .destination_port = packet.source_port},
                                     message);
  sink_.ToGuest(AsBytes(answer));
}

// False: the question is for no host that the proxy serves.
bool Egress::AnswerServed(Frame frame, const Packet& packet) {
  if (served_.empty()) return false;
  const auto question = ParseDnsQuestion(packet.data);
  if (!question) return false;
  const auto address = served_.AddressOf(question->name);
  if (!address || policy_.AskName(question->name) == Reason::kDenied) return false;
  const std::vector<Address> addresses =
      question->type == kTypeA ? std::vector<Address>{*address} : std::vector<Address>();
  Answer(frame, packet, MakeDnsAnswer(*question, DnsCode::kNoError, addresses, kServedTtl));
  return true;
}

void Egress::TakeQuestion(Frame frame, const Packet& packet, SteadyTime now) {
  auto question = ParseDnsQuestion(packet.data);
  if (!question) return Refuse(frame, packet, Reason::kOtherResolver, {});
  const std::string name = question->name;
  Reason reason = name.empty() ? Reason::kNotAllowed : policy_.AskName(name);
  const bool of_service = question->type == kTypeSrv && reason == Reason::kNotAllowed &&
                          policy_.AskName(WithoutService(name)) == Reason::kNone;
  if (of_service || (reason != Reason::kNone && IsNameOfAddress(name))) {
    return Answer(frame, packet, MakeDnsAnswer(*question, DnsCode::kNoSuchName));
  }
  if (reason != Reason::kNone) {
    Answer(frame, packet, MakeDnsAnswer(*question, DnsCode::kNoSuchName));
    return denials_.Add({.reason = reason, .protocol = "dns", .name = name});
  }
  if (!policy_.closed()) return sink_.ToOutside(frame);
  const bool asks_address = question->type == kTypeA || (ipv6_ && question->type == kTypeAaaa);
  if (asks_address) return Ask(frame, packet, std::move(*question), now);
  Answer(frame, packet, MakeDnsAnswer(*question, DnsCode::kNoError));
}

void Egress::Ask(Frame frame, const Packet& packet, DnsQuestion question, SteadyTime now) {
  while (!asked_.empty()) {
    const auto oldest = questions_.find(asked_.front());
    const bool over = oldest == questions_.end() || oldest->second.until <= now;
    if (!over && questions_.size() < kMaxQuestions) break;
    if (oldest != questions_.end()) questions_.erase(oldest);
    asked_.pop_front();
  }
  // A number that its receiver cannot guess is the host's resolver's matter: it asks from there.
  next_id_ = next_id_ * 1664525u + 1013904223u;
  const auto id = static_cast<std::uint16_t>(next_id_ >> 16);
  if (questions_.contains(id)) return;  // The guest asks again.
  const std::string message = MakeDnsQuestion(id, question.name, question.type);
  questions_.emplace(id, Question{std::move(question), packet.source_port, now + kQuestionLimit});
  asked_.push_back(id);
  const std::string asked = WithMessage(frame, packet, message);
  sink_.ToOutside(AsBytes(asked));
}

// False: the packet is none of ours, and goes on to the guest.
bool Egress::TakeAnswer(Frame frame, const Packet& packet, SteadyTime now) {
  if (!policy_.closed()) return false;
  const auto answer = ParseDnsAnswer(packet.data);
  if (!answer) return true;
  const auto found = questions_.find(answer->id);
  if (found == questions_.end() || found->second.guest_port != packet.destination_port ||
      found->second.asked.name != answer->name || found->second.asked.type != answer->type) {
    return true;
  }
  const DnsQuestion question = std::move(found->second.asked);
  questions_.erase(found);
  const auto send = [&](DnsCode code, const std::vector<Address>& addresses) {
    const std::string told =
        WithMessage(frame, packet, MakeDnsAnswer(question, code, addresses, answer->ttl));
    sink_.ToGuest(AsBytes(told));
  };
  if (const Reason reason = policy_.AskName(question.name); reason != Reason::kNone) {
    send(DnsCode::kNoSuchName, {});
    return true;
  }
  const std::size_t most = answer->type == kTypeAaaa ? kMaxAddresses6 : kMaxAddresses;
  std::vector<Address> addresses;
  for (const Address& address : answer->addresses) {
    const Reason reason = policy_.AskAnswer(address, IsLocal(address));
    if (reason != Reason::kNone) {
      denials_.Add(
          {.reason = reason, .protocol = "dns", .name = question.name, .address = address});
      continue;
    }
    if (addresses.size() == most) break;
    addresses.push_back(address);
    names_.Remember(question.name, address, answer->ttl, now);
  }
  // With IPv6, there being no such name would end the other question, too.
  const bool none_left = addresses.empty() && !answer->addresses.empty() && !ipv6_;
  send(none_left ? DnsCode::kNoSuchName : answer->code, addresses);
  return true;
}

}  // namespace pyro::net
