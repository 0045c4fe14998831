// Decides about each frame of a guest by a policy, and answers what it refuses. Pure: the time and
// the frames come from the caller.

#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/denials.h"
#include "net/dns.h"
#include "net/flows.h"
#include "net/names.h"
#include "net/packet.h"
#include "net/policy.h"
#include "net/served.h"

namespace pyro::net {

// Takes the frames that go on; they are valid during the call.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual void ToGuest(Frame frame) = 0;
  virtual void ToOutside(Frame frame) = 0;
  // To a host that the proxy serves.
  virtual void ToServed(Frame frame) = 0;
};

class Egress {
 public:
  static constexpr std::size_t kMaxQuestions = 512;
  static constexpr std::chrono::seconds kQuestionLimit{15};
  static constexpr std::chrono::seconds kBeginningLimit{10};

  // `sink` is borrowed. `seed` makes the ids of questions; any number.
  Egress(FrameSink& sink, std::uint32_t seed) : sink_(sink), next_id_(seed) {}

  // Connections that it does not allow end with their next segment.
  void SetPolicy(Policy policy, LocalNetworks local, SteadyTime now);

  // From now on these lead to the proxy, under addresses of their own. At most kMaxServed.
  void SetServed(std::vector<ServedHost> hosts) { served_.Set(std::move(hosts)); }
  const ServedHosts& served() const { return served_; }

  // Without it, the guest's packets of IPv6 have no effect, and names no addresses of it.
  void SetIpv6(bool on) { ipv6_ = on; }
  bool ipv6() const { return ipv6_; }

  void FromGuest(Frame frame, SteadyTime now);
  void FromOutside(Frame frame, SteadyTime now);

  DenialLog& denials() { return denials_; }

 private:
  struct Question {
    DnsQuestion asked;
    std::uint16_t guest_port = 0;
    SteadyTime until{};
  };

  // Names and connections are looked at.
  bool looks() const { return policy_.closed() || policy_.denies_names(); }
  bool IsLocal(const Address& address) const { return local_.Has(address); }
  Reason AskPacket(const Packet& packet) const;
  Reason AskByNames(const Packet& packet, SteadyTime now, std::string* name);
  Reason JudgeNames(const Flow& flow, const std::vector<std::string>& names, SteadyTime now,
                    std::string* name);

  void Refuse(Frame frame, const Packet& packet, Reason reason, std::string name);
  void RefuseFlow(Flow& flow, Frame frame, const Packet& packet, Reason reason, std::string name);

  bool TakeNeighbours(Frame frame, const Packet& packet);
  bool IsOfGuest(const Packet& packet) const;

  void Pass(Frame frame);
  void TakeServed(Frame frame, const Packet& packet, SteadyTime now);
  bool AnswerServed(Frame frame, const Packet& packet);

  void TakeTcp(Frame frame, const Packet& packet, SteadyTime now);
  void TakeSyn(Frame frame, const Packet& packet, Flow* flow, SteadyTime now);
  void Look(Frame frame, const Packet& packet, Flow& flow, SteadyTime now);
  void Compare(Frame frame, const Packet& packet, Flow& flow);
  void Release(Flow& flow);

  void TakeQuestion(Frame frame, const Packet& packet, SteadyTime now);
  void Ask(Frame frame, const Packet& packet, DnsQuestion question, SteadyTime now);
  void Answer(Frame frame, const Packet& packet, const std::string& message);
  bool TakeAnswer(Frame frame, const Packet& packet, SteadyTime now);

  FrameSink& sink_;
  bool ipv6_ = false;
  Mac told_ = {};  // The guest's card, as the back end knows it for IPv6.
  ServedHosts served_;
  Policy policy_;
  LocalNetworks local_;
  NameTable names_;
  FlowTable flows_;
  DenialLog denials_;
  std::unordered_map<std::uint16_t, Question> questions_;
  std::deque<std::uint16_t> asked_;  // Their ids, the oldest first.
  std::uint32_t next_id_;
};

}  // namespace pyro::net
