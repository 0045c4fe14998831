// VMs and tasks on disk: making, finding, reconciling and removing them.

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "api/rows.h"
#include "engine/context.h"
#include "engine/network_rules.h"
#include "engine/secrets.h"
#include "pyro/engine.h"
#include "state/registry.h"
#include "sys/file_lock.h"

namespace pyro::engine {

// Size of a VM's own disk for its guest; the host stores only the written blocks.
inline constexpr std::uint64_t kDataDiskBytes = 10ULL << 30;

// A new id, and the options as the registry keeps them; their network rules are resolved.
// `digest`: of the environment's version; empty where there is none.
state::InstanceSpec MakeSpec(InstanceKind kind, const api::Struct& rows, const void* options,
                             const std::string& digest);
template <typename Options>
state::InstanceSpec MakeSpec(InstanceKind kind, const Options& options, const std::string& digest) {
  state::InstanceSpec spec = MakeSpec(kind, api::Rows<Options>(), &options, digest);
  spec.network_rules = NetworkRulesText(options);
  spec.secret_refs = SecretReferencesOf(options);
  return spec;
}
VmOptions ToOptions(const state::InstanceSpec& spec);

// On disk and in the registry; the caller is its owner while it holds the lock.
struct NewInstance {
  state::InstanceRecord record;
  sys::FileLock lock;
};

// Row and directory come together. Fill a task, then call state::FinishCreation.
Result<NewInstance> CreateOnDisk(state::Registry& registry, const Context& context,
                                 const state::InstanceSpec& spec);

// The storage of a VM: a disk image for a guest, or a directory for commands on the host.
enum class VmDisk { kGuestImage, kHostWorkspace };

// With its storage. On failure nothing is left.
Result<NewInstance> CreateVmOnDisk(state::Registry& registry, const Context& context,
                                   const state::InstanceSpec& spec, VmDisk disk);

// The image that every VM's disk is a copy of at first.
Result<std::filesystem::path> BlankDisk(const Context& context);

// Makes the image of a VM without one. An existing image is no error.
Status EnsureGuestImage(const Context& context, const InstanceId& id);

// Brings the instance in line with its directory: removes one whose creation or removal was
// interrupted, and a VM whose owner is gone or whose lease is over; records what a killed
// supervisor left running as lost or interrupted. For the holder of its lock, if it has no guest.
// True: it was removed.
Result<bool> Reconcile(state::Registry& registry, const Context& context, const InstanceId& id);

// The same for every instance of the kind whose lock is free. Then removes leftovers, and adopts
// tasks whose registry was lost. Idempotent; any process may do it at any time. The next call
// retries what failed.
Result<ReapedVms> ReconcileAll(state::Registry& registry, const Context& context,
                               InstanceKind kind);

// What ReconcileAll would remove now: a directory each. For VMs also those whose lease is over; of
// tasks only what interrupted operations left.
Result<std::vector<std::filesystem::path>> FindRemovable(state::Registry& registry,
                                                         const Context& context, InstanceKind kind);

// An open registry, with all instances of the kind reconciled.
Result<state::Registry> OpenReconciled(const Context& context, InstanceKind kind);

struct Found {
  state::Registry registry;
  state::InstanceRecord instance;
};
// Errors as for Registry::Find.
Result<Found> FindVm(const Context& context, const std::string& prefix);
Result<Found> FindTask(const Context& context, const std::string& prefix);

// kWrongState: it is still being created, or is being deleted. A client of a task that is being
// made could be taken for its maker, and what it does could be removed with the task.
Status CheckMade(const Context& context, const InstanceId& id);

// For the holder of the lock, while no guest runs. Works in any state, and a second time.
Status RemoveFromDisk(state::Registry& registry, const Context& context, const InstanceId& id);

}  // namespace pyro::engine
