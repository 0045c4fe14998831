// The processes that a kill ended, as the guest tells. Plain data.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/fields.h"

namespace pyro {

inline constexpr std::size_t kMaxKilledListed = 32;

struct KilledProcess {
  std::int64_t pid = 0;
  std::string name;  // As in /proc/PID/comm; any bytes.
};

struct KilledTree {
  std::vector<KilledProcess> processes;  // The first of them.
  std::int64_t count = 0;                // All of them.
  bool gone =
      false;  // No process is left in the command's cgroup. False: some were not seen to go.
};

inline constexpr Field kKilledProcessFields[] = {
    Row<KilledProcess, &KilledProcess::pid>("pid").From(1),
    Row<KilledProcess, &KilledProcess::name>("name").To(64),
};
inline constexpr Field kKilledTreeFields[] = {
    Row<KilledTree, &KilledTree::processes>("processes")
        .Of(kKilledProcessFields)
        .To(kMaxKilledListed),
    Row<KilledTree, &KilledTree::count>("count"),
    Row<KilledTree, &KilledTree::gone>("gone"),
};

}  // namespace pyro
