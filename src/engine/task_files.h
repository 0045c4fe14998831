// Finding, describing and removing tasks.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/context.h"
#include "engine/guest_process.h"
#include "pyro/engine.h"
#include "registry/registry.h"

namespace pyro::engine {

GuestPlace PlaceOf(const Context& context, const InstanceId& id);

// An open registry that is up to date: the leftovers of crashes are reconciled first.
Result<registry::Registry> OpenTasks(const Context& context);

// Reconciles all tasks: marks interrupted commands, finishes interrupted creations and removals,
// and adopts tasks whose registry was lost. Idempotent.
Status ReapTasks(registry::Registry& registry, const Context& context);

// The same for one task; for the holder of its lock, if it has no guest. A task whose creation or
// removal was interrupted is gone afterwards.
Status SettleTask(registry::Registry& registry, const Context& context, const InstanceId& id);

// A new id, and the options as the registry keeps them. `digest`: of the environment's version;
// empty where there is none.
registry::InstanceSpec MakeTaskSpec(const TaskOptions& options, const std::string& digest);

// On disk and in the registry; the caller is its owner while it holds the lock. Fill it, then call
// FinishTaskCreation.
struct NewTask {
  registry::InstanceRecord record;
  std::optional<sys::FileLock> lock;
};
Result<NewTask> CreateTaskOnDisk(registry::Registry& registry, const Context& context,
                                 const registry::InstanceSpec& spec);

struct FoundTask {
  registry::Registry registry;
  registry::InstanceRecord task;
};
Result<FoundTask> FindTask(const Context& context, const std::string& prefix);

// Entries from `first` on, at most `limit` of them. A limit of 0 means all, one of -N the last N,
// newest first.
registry::CommandRange RangeOf(std::int64_t first, std::int64_t limit);

// `accelerator`: of the task's guest, or empty.
TaskCommand DescribeCommand(const Context& context, const registry::CommandRecord& command,
                            std::string_view accelerator);
Result<TaskInfo> DescribeTask(const Context& context, registry::Registry& registry,
                              const registry::InstanceRecord& task);

// Ends all its processes and removes all its files. Works in any state, and a second time.
Status DeleteTaskEverywhere(const Context& context, registry::Registry& registry,
                            const InstanceId& id);

// For the holder of the lock, while no guest runs.
Status RemoveTaskFromDisk(const Context& context, registry::Registry& registry,
                          const InstanceId& id);

}  // namespace pyro::engine
