// What was refused to a guest, as it is told to people: at once, and with a count when there is
// much of it. Pure. The supervisor
// reads the text of one from a process that it does not trust.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "net/names.h"
#include "net/policy.h"
#include "pyro/result.h"

namespace pyro::net {

struct Denial {
  Reason reason = Reason::kNotAllowed;
  std::string protocol;  // "tcp", "udp", "icmp", "dns" for the question for a name, or "other".
  std::string name;      // Canonical; empty: no name is known.
  Address address;       // Of the packet, or of an answer; or none.
  std::uint16_t port = 0;
  std::int64_t count = 1;  // Since it was last told.

  friend bool operator==(const Denial& a, const Denial& b) = default;
};

// "registry.example:443 (tcp)", "[2001:db8::7]:443 (tcp)".
std::string Target(const Denial& denial);
// The rule that would allow it, as registry.example:443; empty: none does.
std::string RuleFor(const Denial& denial);

inline constexpr std::size_t kMaxDenialBytes = 1024;

// One JSON object.
std::string FormatDenial(const Denial& denial);
// kProtocol: longer than kMaxDenialBytes, or not such an object.
Result<Denial> ParseDenial(std::string_view text);

class DenialLog {
 public:
  static constexpr std::size_t kMaxKinds = 256;
  // So many are told at once, and then so many in a second; the rest waits and is counted.
  static constexpr int kBurst = 64;
  static constexpr int kPerSecond = 64;

  // The same as one that waits adds to its count. Of more than kMaxKinds, the others are lost.
  void Add(const Denial& denial);

  // Those to tell now.
  std::vector<Denial> Take(SteadyTime now);

  // When Take() may have something; nullopt: only after another Add().
  std::optional<SteadyTime> Next() const;

 private:
  using Key = std::tuple<Reason, std::string, std::string, Address, std::uint16_t>;
  std::map<Key, Denial> waiting_;
  int left_ = kBurst;
  SteadyTime counted_at_{};
};

}  // namespace pyro::net
