// TCP connections of a guest, as far as a policy must know them: bounded, the longest unused goes
// first. Pure.

#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/names.h"
#include "net/packet.h"

namespace pyro::net {

struct FlowKey {
  Address address;  // Of the other side.
  std::uint16_t port = 0;
  std::uint16_t guest_port = 0;

  friend bool operator==(const FlowKey&, const FlowKey&) = default;
};

struct Flow {
  enum class State {
    kLooking,  // Bytes of the guest are held until they tell enough.
    kJudged,   // They are on their way, and the other side has not acknowledged all of them.
    kOpen,     // Nothing more is looked at.
    kRefused,  // Each further segment of the guest gets a RST.
  };
  FlowKey key;
  State state = State::kOpen;
  std::uint32_t first = 0;         // The sequence number of the guest's first byte.
  std::uint32_t acknowledged = 0;  // What the other side expects next.
  bool answered = false;           // The other side has taken the SYN with this number.
  std::string beginning;           // The bytes from `first` that are looked at.
  std::vector<std::string> held;   // Frames with them, while kLooking.
  SteadyTime since{};              // Of the first held frame.

  std::size_t bytes() const;
};

class FlowTable {
 public:
  static constexpr std::size_t kMaxFlows = 8192;
  static constexpr std::size_t kMaxHeldBytes = 16 * 1024 * 1024;

  // nullptr: there is none. A flow that is found counts as used. Valid until the next Make().
  Flow* Find(const FlowKey& key);
  // In the place of an older one with that key.
  Flow& Make(const FlowKey& key);

  // Must follow each change of what a flow holds; `before`: its bytes() then.
  void CountBytes(const Flow& flow, std::size_t before) { held_ += flow.bytes() - before; }
  bool full() const { return held_ > kMaxHeldBytes; }

  std::size_t size() const { return flows_.size(); }
  // All flows, for a change of the policy.
  std::list<Flow>& flows() { return flows_; }

 private:
  struct Hash {
    std::size_t operator()(const FlowKey& key) const {
      const std::uint64_t all = static_cast<std::uint64_t>(key.port) << 16 | key.guest_port;
      return static_cast<std::size_t>((AddressHash()(key.address) ^ all) * 0x9e3779b97f4a7c15 >>
                                      16);
    }
  };
  void Remove(std::list<Flow>::iterator flow);

  std::list<Flow> flows_;  // The last used first.
  std::unordered_map<FlowKey, std::list<Flow>::iterator, Hash> by_key_;
  std::size_t held_ = 0;
};

}  // namespace pyro::net
