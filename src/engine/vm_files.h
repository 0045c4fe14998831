// Makes the files of a VM.

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

// Size of a VM's own disk for its guest; the host stores only the written blocks.
inline constexpr std::uint64_t kDataDiskBytes = 10ULL << 30;

// The parts from which every guest of an environment starts, ready on this host.
struct GuestParts {
  environment::InstalledEnvironment environment;
  std::filesystem::path initrd;
  vmm::AcceleratorVerdict verdict;
};

// A VM on disk and in the registry; the caller is its owner while it holds the lock.
struct NewVm {
  registry::InstanceRecord record;
  sys::FileLock lock;
};

// A new id, and the options as the registry keeps them. `digest`: of the environment's version;
// empty where there is none.
registry::InstanceSpec MakeVmSpec(const VmOptions& options, const std::string& digest,
                                  registry::InstanceOwner owner);

// The storage of a VM: a disk image for a guest, or a directory for commands on the host.
enum class VmDisk { kGuestImage, kHostWorkspace };

// Row and directory come together. On failure neither is left.
Result<NewVm> CreateVmOnDisk(registry::Registry& registry, const Context& context,
                             const registry::InstanceSpec& spec, VmDisk disk);

// The supervisor's configuration of the VM itself.
wire::SupervisorConfig VmSupervisor(const Context& context, const registry::InstanceRecord& vm);

std::filesystem::path HostWorkspace(const Context& context, const InstanceId& id);

// The image that every VM's disk is a copy of at first.
Result<std::filesystem::path> BlankDisk(const Context& context);

// Makes the image of a VM without one. An existing image is no error.
Status EnsureGuestImage(const Context& context, const InstanceId& id);

// For the holder of the lock.
Status RemoveVmFromDisk(registry::Registry& registry, const Context& context, const InstanceId& id);

}  // namespace pyro::engine
