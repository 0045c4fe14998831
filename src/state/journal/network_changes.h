// tasks/<id>/network.json: what changed of the rules of a task's network since it was made.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/time.h"
#include "pyro/result.h"
#include "state/journal/journal_line.h"

namespace pyro::state {

inline constexpr std::size_t kMaxNetworkChanges = 1000;  // Later ones displace the first.
inline constexpr std::size_t kMaxNetworkRuleBytes = 300;

struct NetworkChange {
  std::string rule;  // As "allow registry.example:443".
  WallTime changed_at{};
  std::int64_t sequence = 0;  // Of the last command that began before; 0: none.
};

inline constexpr Field kNetworkChangeFields[] = {
    Row<NetworkChange, &NetworkChange::rule>("rule").To(kMaxNetworkRuleBytes),
    Row<NetworkChange, &NetworkChange::changed_at>("changed_at").To(kMaxStoredTime),
    Row<NetworkChange, &NetworkChange::sequence>("sequence").To(kMaxSequence),
};

// The oldest first. kDataLoss: the file is broken.
Result<std::vector<NetworkChange>> ReadNetworkChanges(const std::filesystem::path& task_dir);

// For one process at a time. A file that is broken begins again.
Status AddNetworkChanges(const std::filesystem::path& task_dir,
                         const std::vector<NetworkChange>& changes);

}  // namespace pyro::state
