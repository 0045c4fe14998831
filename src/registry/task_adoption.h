// Makes rows again for tasks whose registry was lost or broken, from what lies in their
// directories.

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "pyro/result.h"
#include "registry/command_record.h"
#include "registry/registry.h"
#include "registry/task_manifest.h"

namespace pyro::registry {

struct AdoptedTasks {
  struct Failure {
    TaskId id;
    Error error;  // Its directory is left as it is.
  };
  std::vector<TaskId> task_ids;
  std::vector<Failure> failures;
  std::uint64_t bad_lines = 0;  // Of journals, left out.
};

// Every finished task directory that has no row and no holder gets one, as stopped, with its
// commands as far as its files tell. Idempotent. Cheap when there is nothing to do.
Result<AdoptedTasks> AdoptTasks(Registry& registry, const std::filesystem::path& state_dir,
                                const Clock& clock);

}  // namespace pyro::registry
