#include "engine/reaper.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/vm_files.h"
#include "registry/spare_pool.h"
#include "registry/vm_directory.h"
#include "sys/file_lock.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

using registry::InstanceOwner;
using registry::InstanceRecord;
using registry::InstanceState;

enum class Verdict { kLeave, kRemove, kLost };

// For a VM without an owner.
Verdict Judge(const InstanceRecord& vm, WallTime now) {
  if (vm.owner == InstanceOwner::kRun || vm.expires_at <= now) return Verdict::kRemove;
  // A started VM without a guest has no supervisor either.
  const bool running =
      vm.state == InstanceState::kStarted && vm.execution_mode != ExecutionMode::kHostCompat;
  return running ? Verdict::kLost : Verdict::kLeave;
}

// nullopt: another process holds it. A missing directory counts as free: it has no lock.
Result<std::optional<sys::FileLock>> LockOf(const std::filesystem::path& state_dir,
                                            const InstanceId& id, bool& directory_gone) {
  auto lock = sys::FileLock::TryAcquire(registry::VmLock(state_dir, id));
  directory_gone = !lock && lock.error().code == ErrorCode::kNotFound;
  if (directory_gone) return std::optional<sys::FileLock>();
  return lock;
}

// True: it was removed.
Result<bool> Settle(registry::Registry& registry, const Context& context, const InstanceRecord& vm,
                    Verdict verdict) {
  if (verdict == Verdict::kRemove) {
    PYRO_RETURN_IF_ERROR(RemoveVmFromDisk(registry, context, vm.id));
    return true;
  }
  if (verdict == Verdict::kLost) {
    registry::InstanceChanges changes;
    changes.last_error = "its supervisor was killed";
    PYRO_RETURN_IF_ERROR(registry.Apply(vm.id, registry::InstanceEvent::kLost, changes));
  }
  return false;
}

Status ReapOne(registry::Registry& registry, const Context& context, const InstanceId& id,
               ReapedVms& reaped) {
  bool directory_gone = false;
  PYRO_ASSIGN_OR_RETURN(const std::optional<sys::FileLock> lock,
                        LockOf(context.state, id, directory_gone));
  if (!lock && !directory_gone) return OkStatus();
  // Again, under the lock: its owner may have changed since the list was made.
  const auto vm = registry.Get(id);
  if (!vm) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(
      const bool removed,
      Settle(registry, context, *vm,
             directory_gone ? Verdict::kRemove : Judge(*vm, context.clock.Now())));
  if (removed) reaped.vm_ids.push_back(id.str());
  return OkStatus();
}

}  // namespace

Result<ReapedVms> Reap(registry::Registry& registry, const Context& context) {
  ReapedVms reaped;
  PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> vms, registry.List(InstanceKind::kVm));
  for (const InstanceRecord& vm : vms) (void)ReapOne(registry, context, vm.id, reaped);

  std::vector<std::filesystem::path> leftovers;
  PYRO_RETURN_IF_ERROR(registry.WithExclusive([&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> known,
                          registry.List(InstanceKind::kVm));
    std::vector<InstanceId> ids;
    for (const InstanceRecord& vm : known) ids.push_back(vm.id);
    PYRO_ASSIGN_OR_RETURN(leftovers, registry::LeftoverDirectories(context.state, ids));
    for (const auto& path : leftovers) (void)sys::RemoveTree(path);
    return OkStatus();
  }));
  registry::ReapSpares(context.state, context.clock.Now());
  reaped.leftovers = static_cast<std::int64_t>(leftovers.size());
  return reaped;
}

Result<bool> SettleVm(registry::Registry& registry, const Context& context, const InstanceId& id) {
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord vm, registry.Get(id));
  return Settle(registry, context, vm, Judge(vm, context.clock.Now()));
}

}  // namespace pyro::engine
