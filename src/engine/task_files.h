// Finding tasks, describing them, and taking them away.

#pragma once

#include <optional>
#include <string>

#include "engine/guest_process.h"
#include "pyro/engine.h"
#include "registry/registry.h"

namespace pyro::engine {

GuestPlace PlaceOf(const Context& context, const TaskId& id);

// An open registry that tells the truth: what crashes left behind is settled first.
Result<registry::Registry> OpenTasks(const Context& context);

// Marks what a crash interrupted, finishes what a crash cut off, and takes up tasks whose registry
// was lost. Idempotent.
Status ReapTasks(registry::Registry& registry, const Context& context);

// What ReapTasks does for one task; for the holder of its lock, where no guest answers for it. A
// task whose creation or removal was cut off is gone afterwards.
Status SettleTask(registry::Registry& registry, const Context& context, const TaskId& id);

// A new id, and the options as the registry keeps them. `digest`: of the environment's version;
// empty where there is none.
registry::TaskSpec MakeTaskSpec(const TaskOptions& options, const std::string& digest);

// On disk and in the registry, and ours alone as long as the lock is held. Fill it, then call
// FinishTaskCreation.
struct NewTask {
  registry::TaskRecord record;
  std::optional<sys::FileLock> lock;
};
Result<NewTask> CreateTaskOnDisk(registry::Registry& registry, const Context& context,
                                 const registry::TaskSpec& spec);

struct FoundTask {
  registry::Registry registry;
  registry::TaskRecord task;
};
Result<FoundTask> FindTask(const Context& context, const std::string& prefix);

// Entries from `first` on, at most `limit` of them; a limit of 0 means all, a negative one the last
// so many, newest first.
registry::CommandRange RangeOf(std::int64_t first, std::int64_t limit);

TaskCommand DescribeCommand(const registry::CommandRecord& command);
Result<TaskInfo> DescribeTask(const Context& context, registry::Registry& registry,
                              const registry::TaskRecord& task);

// Ends whatever runs of it and removes everything. Fine at any state, and a second time.
Status DeleteTaskEverywhere(const Context& context, registry::Registry& registry, const TaskId& id);

// For the holder of the lock, when no guest is there.
Status RemoveTaskFromDisk(const Context& context, registry::Registry& registry, const TaskId& id);

}  // namespace pyro::engine
