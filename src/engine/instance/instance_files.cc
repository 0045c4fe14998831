#include "engine/instance/instance_files.h"

#include <chrono>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/describe.h"
#include "engine/environments.h"
#include "engine/limits.h"
#include "image/store/blank.h"
#include "state/disk_reserve.h"
#include "state/instance/instance_directory.h"
#include "state/instance/task_adoption.h"
#include "state/journal/command_log.h"
#include "state/pool/spare_pool.h"
#include "state/quota.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/random.h"
#include "sys/sparse_copy.h"

namespace pyro::engine {
namespace {

using state::InstanceEvent;
using state::InstanceFiles;
using state::InstanceOwner;
using state::InstanceRecord;
using state::InstanceSpec;
using state::InstanceState;
using state::Registry;

bool KeepsWork(const InstanceId& id) { return state::PolicyOf(id.kind()).keeps_work; }

// False: neither its lease nor a crash can have changed anything since the row was written.
bool NeedsALook(const Context& context, const InstanceRecord& instance) {
  if (!KeepsWork(instance.id)) return true;
  std::error_code ignored;
  return instance.state != InstanceState::kStopped ||
         instance.execution_mode == ExecutionMode::kPending ||
         std::filesystem::exists(state::RetiredDirectory(context.state, instance.id), ignored);
}

Status RemoveLeftovers(Registry& registry, const Context& context, InstanceKind kind,
                       const std::vector<InstanceRecord>& seen, ReapedVms& reaped) {
  // First without a transaction: nearly always there is nothing to do.
  PYRO_ASSIGN_OR_RETURN(const bool any, state::MayHaveLeftovers(context.state, kind, seen));
  if (!any) return OkStatus();
  return registry.WithExclusive([&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> known, registry.List(kind));
    PYRO_ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> leftovers,
                          state::LeftoverDirectories(context.state, kind, known));
    for (const auto& path : leftovers) {
      (void)sys::RemoveTree(path);
      if (kind == InstanceKind::kTask) PYRO_FAILPOINT("task.settle.leftover-removed");
    }
    reaped.leftovers = static_cast<std::int64_t>(leftovers.size());
    return OkStatus();
  });
}

// On a full disk the registry could not record a change.
void MakeRoom(const Context& context, const InstanceId& id) {
  const bool keeps_work = KeepsWork(id);
  // Work stays until the removal of its directory is past the point of no return.
  const auto disposable = keeps_work ? state::RetiredDirectory(context.state, id)
                                     : state::InstanceDirectory(context.state, id);
  std::error_code ignored;
  std::filesystem::remove(disposable / "data.img", ignored);
  if (!keeps_work) return;
  (void)state::DiskReserve(state::InstanceDirectory(context.state, id)).Release();
}

Result<Found> FindReconciled(const Context& context, InstanceKind kind, const std::string& prefix) {
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenReconciled(context, kind));
  PYRO_ASSIGN_OR_RETURN(InstanceRecord instance, registry.Find(kind, prefix));
  return Found{std::move(registry), std::move(instance)};
}

// Of one without an owner.
bool IsOver(const InstanceRecord& instance, WallTime now) {
  return !KeepsWork(instance.id) &&
         (instance.owner == InstanceOwner::kRun || instance.expires_at <= now);
}

// No process owns it, or it is being reconciled. A missing directory counts as free: it has no
// lock.
bool IsFree(const Context& context, const InstanceId& id, std::optional<sys::FileLock>& held) {
  auto lock = sys::FileLock::TryAcquire(state::InstanceLock(context.state, id));
  if (!lock) return lock.error().code == ErrorCode::kNotFound;
  held = std::move(*lock);
  return held.has_value();
}

// An environment's prune looks at the rows in a transaction, too: either it sees this row, or the
// version is gone before there is one.
Status CheckVersion(const Context& context, const InstanceSpec& spec) {
  if (spec.environment_digest.empty()) return OkStatus();
  Environments environments(context);
  PYRO_RETURN_IF_ERROR(environments.store().FindVersion(spec.environment, spec.environment_digest));
  return OkStatus();
}

}  // namespace

InstanceSpec MakeSpec(InstanceKind kind, const api::Struct& rows, const void* options,
                      const std::string& digest) {
  state::InstanceRecord record(InstanceSpec{.id = InstanceId::FromBits(kind, sys::RandomBits())});
  record.disk_mib = kDataDiskBytes >> 20;
  CopyFields(rows, options, state::kInstanceFields, &record);
  record.environment_digest = digest;
  return record;
}

VmOptions ToOptions(const InstanceSpec& spec) {
  VmOptions options;
  const InstanceRecord record(spec);
  CopyFields(state::kInstanceFields, &record, api::Rows<VmOptions>(), &options);
  return options;
}

Result<NewInstance> CreateOnDisk(Registry& registry, const Context& context,
                                 const InstanceSpec& spec) {
  const bool keeps_work = KeepsWork(spec.id);
  PYRO_RETURN_IF_ERROR(CheckDisk(context));
  PYRO_ASSIGN_OR_RETURN(const Limits limits, ReadLimits(context));
  std::optional<NewInstance> created;
  PYRO_RETURN_IF_ERROR(registry.WithExclusive([&]() -> Status {
    if (keeps_work) PYRO_RETURN_IF_ERROR(state::CheckTaskLimit(registry, limits.guests));
    PYRO_RETURN_IF_ERROR(CheckVersion(context, spec));
    PYRO_ASSIGN_OR_RETURN(sys::FileLock lock,
                          state::CreateInstanceDirectory(context.state, spec, context.clock.Now()));
    auto record = registry.Insert(spec);
    if (!record) {
      (void)state::RemoveInstanceDirectory(context.state, spec.id);
      return std::move(record).error();
    }
    created.emplace(NewInstance{std::move(*record), std::move(lock)});
    if (keeps_work) PYRO_FAILPOINT("task.create.row-inserted");
    return OkStatus();
  }));
  if (keeps_work) PYRO_FAILPOINT("task.create.row-committed");
  return std::move(*created);
}

Result<NewInstance> CreateVmOnDisk(Registry& registry, const Context& context,
                                   const InstanceSpec& spec, VmDisk disk) {
  auto created = CreateOnDisk(registry, context, spec);
  Status status = created ? OkStatus() : Status(created.error());
  if (status) {
    status = disk == VmDisk::kGuestImage
                 ? EnsureGuestImage(context, spec.id)
                 : sys::MakeDirectories(state::HostWorkspace(context.state, spec.id));
  }
  if (status) return created;
  (void)RemoveFromDisk(registry, context, spec.id);
  return std::move(status).error();
}

Result<std::filesystem::path> BlankDisk(const Context& context) {
  return image::EnsureBlankDisk(context.cache, kDataDiskBytes);
}

Status EnsureGuestImage(const Context& context, const InstanceId& id) {
  const std::filesystem::path image = state::DataImage(context.state, id);
  std::error_code error;
  if (std::filesystem::exists(image, error)) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path blank, BlankDisk(context));
  PYRO_RETURN_IF_ERROR(sys::CloneSparse(blank, image));
  return OkStatus();
}

Result<bool> Reconcile(Registry& registry, const Context& context, const InstanceId& id) {
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord instance, registry.Get(id));
  PYRO_ASSIGN_OR_RETURN(const InstanceFiles files, state::LookAtFiles(context.state, id));
  const bool keeps_work = KeepsWork(id);
  const WallTime now = context.clock.Now();
  if (files != InstanceFiles::kReady || IsOver(instance, now)) {
    PYRO_RETURN_IF_ERROR(RemoveFromDisk(registry, context, id));
    return true;
  }
  if (keeps_work) {
    // In this order: while the row says that it is started, an interrupted reconciliation is
    // repeated.
    const auto directory = state::InstanceDirectory(context.state, id);
    PYRO_RETURN_IF_ERROR(registry.InterruptRunning(
        id, [&](std::int64_t sequence) { return state::RecoverEnd(directory, sequence, now); }));
    PYRO_FAILPOINT("task.settle.commands-interrupted");
  }
  // One that is started without a guest has no supervisor either.
  if (instance.state != InstanceState::kStarted ||
      instance.execution_mode == ExecutionMode::kHostCompat) {
    return false;
  }
  state::InstanceChanges changes;
  changes.last_error = "its supervisor was killed";
  PYRO_RETURN_IF_ERROR(registry.Apply(id, InstanceEvent::kLost, changes));
  if (keeps_work) PYRO_FAILPOINT("task.settle.lost-recorded");
  return false;
}

Result<ReapedVms> ReconcileAll(Registry& registry, const Context& context, InstanceKind kind) {
  ReapedVms reaped;
  PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> instances, registry.List(kind));
  for (const InstanceRecord& instance : instances) {
    if (!NeedsALook(context, instance)) continue;
    std::optional<sys::FileLock> lock;
    if (!IsFree(context, instance.id, lock)) continue;
    // One that cannot be reconciled must not hide the others; a call for it reports the error.
    const auto removed = Reconcile(registry, context, instance.id);
    if (removed && *removed) reaped.vm_ids.push_back(instance.id.str());
  }
  PYRO_RETURN_IF_ERROR(RemoveLeftovers(registry, context, kind, instances, reaped));
  if (kind == InstanceKind::kTask) {
    PYRO_RETURN_IF_ERROR(state::AdoptTasks(registry, context.state, context.clock));
  } else {
    state::ReapSpares(context.state, context.clock.Now());
  }
  return reaped;
}

Result<std::vector<std::filesystem::path>> FindRemovable(Registry& registry, const Context& context,
                                                         InstanceKind kind) {
  std::vector<std::filesystem::path> found;
  PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> instances, registry.List(kind));
  for (const InstanceRecord& instance : instances) {
    if (!NeedsALook(context, instance)) continue;
    std::optional<sys::FileLock> lock;
    if (!IsFree(context, instance.id, lock)) continue;
    const auto files = state::LookAtFiles(context.state, instance.id);
    if (!files) continue;
    if (*files == InstanceFiles::kReady && !IsOver(instance, context.clock.Now())) continue;
    found.push_back(*files == InstanceFiles::kRemoving
                        ? state::RetiredDirectory(context.state, instance.id)
                        : state::InstanceDirectory(context.state, instance.id));
  }
  PYRO_ASSIGN_OR_RETURN(const bool any, state::MayHaveLeftovers(context.state, kind, instances));
  if (!any) return found;
  PYRO_RETURN_IF_ERROR(registry.WithExclusive([&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> known, registry.List(kind));
    PYRO_ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> leftovers,
                          state::LeftoverDirectories(context.state, kind, known));
    found.insert(found.end(), leftovers.begin(), leftovers.end());
    return OkStatus();
  }));
  return found;
}

Result<Registry> OpenReconciled(const Context& context, InstanceKind kind) {
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenRegistry(context));
  const auto reaped = ReconcileAll(registry, context, kind);
  // A VM does not depend on the state of others.
  if (!reaped && kind == InstanceKind::kTask) return reaped.error();
  return registry;
}

Result<Found> FindVm(const Context& context, const std::string& prefix) {
  return FindReconciled(context, InstanceKind::kVm, prefix);
}

Result<Found> FindTask(const Context& context, const std::string& prefix) {
  return FindReconciled(context, InstanceKind::kTask, prefix);
}

Status CheckMade(const Context& context, const InstanceId& id) {
  PYRO_ASSIGN_OR_RETURN(const InstanceFiles files, state::LookAtFiles(context.state, id));
  if (files == InstanceFiles::kReady) return OkStatus();
  return MakeError(ErrorCode::kWrongState, "the task is still being created, or is being deleted",
                   "wait for 'pyro task create' to end");
}

Status RemoveFromDisk(Registry& registry, const Context& context, const InstanceId& id) {
  const bool keeps_work = KeepsWork(id);
  MakeRoom(context, id);
  PYRO_RETURN_IF_ERROR(registry.WithExclusive([&]() -> Status {
    const auto instance = registry.Get(id);
    if (instance && instance->state == InstanceState::kStarted) {
      PYRO_RETURN_IF_ERROR(registry.Apply(id, InstanceEvent::kLost));
    }
    if (keeps_work) {
      PYRO_RETURN_IF_ERROR(state::RetireDirectory(context.state, id));
      PYRO_FAILPOINT("task.delete.directory-retired");
    }
    PYRO_RETURN_IF_ERROR(registry.Delete(id));
    if (keeps_work) PYRO_FAILPOINT("task.delete.row-deleted");
    return OkStatus();
  }));
  if (keeps_work) PYRO_FAILPOINT("task.delete.row-committed");
  return state::RemoveInstanceDirectory(context.state, id);
}

}  // namespace pyro::engine
