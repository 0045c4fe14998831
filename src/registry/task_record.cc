#include "registry/task_record.h"

#include <fmt/format.h>

#include "base/try.h"
#include "registry/lifecycle.h"

namespace pyro::registry {

Status CheckTaskSpec(const TaskSpec& spec) {
  PYRO_RETURN_IF_ERROR(CheckSizes(spec.vcpu_count, spec.mem_mib, spec.ttl, "task"));
  if (spec.disk_mib < 1) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("a task cannot have a disk of {} MiB", spec.disk_mib),
                     "give it at least 1");
  }
  return OkStatus();
}

}  // namespace pyro::registry
