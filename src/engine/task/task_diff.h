// What a task's workspace has that a snapshot of it has not, and the other way round.

#pragma once

#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/engine.h"
#include "state/instance/instance_record.h"
#include "wire/trees.h"

namespace pyro::engine {

// The paths that differ, in their order, without texts. One that is in `unsure` has the same size
// on both sides, and its content must be compared.
struct TreeChanges {
  std::vector<TaskChange> changes;
  std::vector<std::string> unsure;
};
// `before` and `after` are of one disk at two times: the same inode with the same times is the same
// file.
TreeChanges CompareTrees(const wire::Tree& before, const wire::Tree& after);

// Paths below /workspace, of which each may be a directory; none: all. kInvalidArgument: one is not
// below it.
Result<std::vector<std::string>> PathsBelowWorkspace(const std::vector<std::string>& paths);

// The difference of a snapshot and of a guest that is ready. The snapshot is read by a guest of its
// own, which is gone when this returns.
Result<TaskDiff> DiffGuest(const Context& context, const state::InstanceRecord& task,
                           SupervisorLink& link, const DiffTaskRequest& request, const CallIo& io);

}  // namespace pyro::engine
