// Makes what a VM needs on disk.

#pragma once

#include <filesystem>
#include <optional>

#include "engine/context.h"
#include "environment/store.h"
#include "pyro/engine.h"
#include "registry/registry.h"
#include "sys/file_lock.h"
#include "vmm/accelerator.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {

// Size of a VM's own disk as its guest sees it; on this host only what is written takes room.
inline constexpr std::uint64_t kDataDiskBytes = 10ULL << 30;

// What every guest of an environment starts from, ready on this host.
struct GuestParts {
  environment::InstalledEnvironment environment;
  std::filesystem::path initrd;
  vmm::AcceleratorVerdict verdict;
};

// A VM that exists on disk and in the registry, and is ours alone as long as the lock is held.
struct NewVm {
  registry::VmRecord record;
  sys::FileLock lock;
};

// A new id, and the options as the registry keeps them. `digest`: of the environment's version;
// empty where there is none.
registry::VmSpec MakeVmSpec(const VmOptions& options, const std::string& digest,
                            registry::VmOwner owner);

// What a VM writes to: a disk image for a guest, or a directory for commands that run on the host.
enum class VmDisk { kGuestImage, kHostWorkspace };

// Row and directory come together. On failure neither is left.
Result<NewVm> CreateVmOnDisk(registry::Registry& registry, const Context& context,
                             const registry::VmSpec& spec, VmDisk disk);

// What its supervisor is to know of a VM itself.
wire::SupervisorConfig VmSupervisor(const Context& context, const registry::VmRecord& vm);

std::filesystem::path HostWorkspace(const Context& context, const VmId& id);

// What every VM's disk is a copy of at first.
Result<std::filesystem::path> BlankDisk(const Context& context);

// The image of a VM that was made without one. Fine if it is there.
Status EnsureGuestImage(const Context& context, const VmId& id);

// For the holder of the lock.
Status RemoveVmFromDisk(registry::Registry& registry, const Context& context, const VmId& id);

}  // namespace pyro::engine
