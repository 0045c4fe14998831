#include "net/names.h"

#include <algorithm>

namespace pyro::net {

void NameTable::Remember(const std::string& name, const Address& address, std::chrono::seconds ttl,
                         SteadyTime now) {
  const SteadyTime until = now + std::clamp<std::chrono::seconds>(ttl, kLeast, kMost);
  if (const auto found = by_address_.find(address); found != by_address_.end()) {
    Names& known = found->second;
    const auto at = std::find(known.names.begin(), known.names.end(), name);
    if (at != known.names.end()) {
      SteadyTime& end = known.until[static_cast<std::size_t>(at - known.names.begin())];
      end = std::max(end, until);
      return;
    }
  }
  if (size_ >= kMaxEntries) RemoveEnded(now);
  if (size_ >= kMaxEntries) RemoveFirst();
  Names& names = by_address_[address];
  names.names.push_back(name);
  names.until.push_back(until);
  ++size_;
}

const std::vector<std::string>& NameTable::NamesOf(const Address& address, SteadyTime now) {
  static const std::vector<std::string> kNoNames;
  const auto found = by_address_.find(address);
  if (found == by_address_.end()) return kNoNames;
  Names& known = found->second;
  for (std::size_t i = known.names.size(); i-- > 0;) {
    if (known.until[i] > now) continue;
    known.names.erase(known.names.begin() + static_cast<std::ptrdiff_t>(i));
    known.until.erase(known.until.begin() + static_cast<std::ptrdiff_t>(i));
    --size_;
  }
  if (!known.names.empty()) return known.names;
  by_address_.erase(found);
  return kNoNames;
}

void NameTable::RemoveEnded(SteadyTime now) {
  std::vector<Address> addresses;
  addresses.reserve(by_address_.size());
  for (const auto& [address, names] : by_address_) addresses.push_back(address);
  for (const Address& address : addresses) static_cast<void>(NamesOf(address, now));
}

void NameTable::RemoveFirst() {
  auto first = by_address_.begin();
  std::size_t index = 0;
  for (auto it = by_address_.begin(); it != by_address_.end(); ++it) {
    for (std::size_t i = 0; i < it->second.until.size(); ++i) {
      if (it->second.until[i] >= first->second.until[index]) continue;
      first = it;
      index = i;
    }
  }
  Names& names = first->second;
  names.names.erase(names.names.begin() + static_cast<std::ptrdiff_t>(index));
  names.until.erase(names.until.begin() + static_cast<std::ptrdiff_t>(index));
  --size_;
  if (names.names.empty()) by_address_.erase(first);
}

}  // namespace pyro::net
