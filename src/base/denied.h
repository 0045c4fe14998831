// A refusal of a guest's network, as it is kept and shown. Plain data.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/fields.h"

namespace pyro {

inline constexpr std::size_t kMaxDenied = 64;  // Of one list.

struct Denied {
  std::string host;       // The name that was asked for, or that led there; else the address.
  std::string address;    // Empty: it never came to one.
  std::int64_t port = 0;  // 0: it has none.
  std::string protocol;   // "tcp", "udp", "icmp", "dns" for the question for a name, or "other".
  std::string reason;     // A word, such as "not_allowed".
  std::string why;        // The same as a clause.
  std::string rule;       // What would allow it, as registry.example:443; empty: no rule does.
  std::int64_t count = 1;

  bool SameAs(const Denied& other) const {
    return host == other.host && address == other.address && port == other.port &&
           protocol == other.protocol && reason == other.reason;
  }
};

inline constexpr Field kDeniedFields[] = {
    Row<Denied, &Denied::host>("host").To(253),    Row<Denied, &Denied::address>("address").To(39),
    Row<Denied, &Denied::port>("port").To(65535),  Row<Denied, &Denied::protocol>("protocol").To(8),
    Row<Denied, &Denied::reason>("reason").To(32), Row<Denied, &Denied::why>("why").To(200),
    Row<Denied, &Denied::rule>("rule").To(260),    Row<Denied, &Denied::count>("count").From(1),
};

// Adds to the count of the same one, or at the end. A full list takes no other.
void AddDenied(std::vector<Denied>& list, const Denied& denied);

}  // namespace pyro
