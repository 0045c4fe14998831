#include "base/denied.h"

#include <algorithm>

namespace pyro {

void AddDenied(std::vector<Denied>& list, const Denied& denied) {
  const auto same =
      std::find_if(list.begin(), list.end(), [&](const Denied& one) { return one.SameAs(denied); });
  if (same != list.end()) {
    same->count += denied.count;
  } else if (list.size() < kMaxDenied) {
    list.push_back(denied);
  }
}

}  // namespace pyro
