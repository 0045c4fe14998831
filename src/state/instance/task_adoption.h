// Restores the rows of tasks whose registry was lost or broken, from the files in their
// directories.

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "pyro/result.h"
#include "state/journal/command_record.h"
#include "state/registry.h"

namespace pyro::state {

struct AdoptedTasks {
  struct Failure {
    InstanceId id;
    Error error;  // Its directory is not changed.
  };
  std::vector<InstanceId> task_ids;
  std::vector<Failure> failures;
  std::uint64_t bad_lines = 0;  // Of journals, left out.
};

// Every finished task directory without a row and without a holder gets a row, as stopped, with the
// commands that its files show. Idempotent. Cheap when there is nothing to do.
Result<AdoptedTasks> AdoptTasks(Registry& registry, const std::filesystem::path& state_dir,
                                const Clock& clock);

}  // namespace pyro::state
