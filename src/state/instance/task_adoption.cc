#include "state/instance/task_adoption.h"

#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "state/instance/instance_directory.h"
#include "state/journal/command_log.h"
#include "sys/failpoint.h"
#include "sys/files.h"

namespace pyro::state {
namespace {

// Those of `ids` that have no row.
Result<std::vector<InstanceId>> WithoutRow(Registry& registry, const std::vector<InstanceId>& ids) {
  PYRO_ASSIGN_OR_RETURN(const auto tasks, registry.List(InstanceKind::kTask));
  std::set<InstanceId> known;
  for (const InstanceRecord& task : tasks) known.insert(task.id);
  std::vector<InstanceId> unknown;
  for (const InstanceId& id : ids) {
    if (!known.contains(id)) unknown.push_back(id);
  }
  return unknown;
}

Status AdoptOne(Registry& registry, const std::filesystem::path& state_dir, const InstanceId& id,
                WallTime now, AdoptedTasks& adopted) {
  if (registry.Get(id)) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const bool adoptable, IsAdoptable(state_dir, id));
  if (!adoptable) return OkStatus();
  const std::filesystem::path directory = InstanceDirectory(state_dir, id);
  PYRO_ASSIGN_OR_RETURN(const std::string text,
                        sys::ReadFile(directory / "manifest.json", kMaxTaskManifestBytes));
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord task, ParseTaskManifest(text));
  if (task.id != id) {
    return MakeError(ErrorCode::kDataLoss,
                     fmt::format("the manifest in '{}' is that of another task", id.str()),
                     "its directory is not changed: its data.img holds the work");
  }
  PYRO_ASSIGN_OR_RETURN(const ReplayedCommands replayed, ReplayCommands(directory, id, now));
  PYRO_RETURN_IF_ERROR(registry.Adopt(task, replayed.commands));
  PYRO_FAILPOINT("task.adopt.rows-inserted");
  adopted.task_ids.push_back(id);
  adopted.bad_lines += replayed.bad_lines;
  return OkStatus();
}

}  // namespace

Result<AdoptedTasks> AdoptTasks(Registry& registry, const std::filesystem::path& state_dir,
                                const Clock& clock) {
  AdoptedTasks adopted;
  // First without a transaction: nearly always there is nothing to do.
  PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceId> seen, ListTaskDirectories(state_dir));
  PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceId> unknown, WithoutRow(registry, seen));
  for (const InstanceId& id : unknown) {
    // One by one: a failure leaves nothing of that task's rows and all of the others'.
    AdoptedTasks one;
    const Status status =
        registry.WithExclusive([&] { return AdoptOne(registry, state_dir, id, clock.Now(), one); });
    PYRO_FAILPOINT("task.adopt.rows-committed");
    if (!status) {
      adopted.failures.push_back({.id = id, .error = status.error()});
    } else if (!one.task_ids.empty()) {
      adopted.task_ids.push_back(id);
      adopted.bad_lines += one.bad_lines;
    }
  }
  return adopted;
}

}  // namespace pyro::state
