// The names that led a guest to an address: what the resolver answered it, and how long that holds.
// Pure.

#pragma once

#include <chrono>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/addresses.h"

namespace pyro::net {

using SteadyTime = std::chrono::steady_clock::time_point;

class NameTable {
 public:
  // Programs use an address for longer than its answer says.
  static constexpr std::chrono::minutes kLeast{5};
  static constexpr std::chrono::hours kMost{24};
  static constexpr std::size_t kMaxEntries = 4096;

  // Of more than kMaxEntries, those go that end first.
  void Remember(const std::string& name, const Address& address, std::chrono::seconds ttl,
                SteadyTime now);

  // In no order; valid until the next call of Remember().
  const std::vector<std::string>& NamesOf(const Address& address, SteadyTime now);

  std::size_t size() const { return size_; }

 private:
  struct Names {
    std::vector<std::string> names;
    std::vector<SteadyTime> until;  // Of each.
  };
  void RemoveEnded(SteadyTime now);
  void RemoveFirst();

  std::unordered_map<Address, Names, AddressHash> by_address_;
  std::size_t size_ = 0;
};

}  // namespace pyro::net
