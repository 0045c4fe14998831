#include "engine/vm_files.h"

#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "base/try.h"
#include "environment/blank.h"
#include "registry/vm_directory.h"
#include "sys/files.h"
#include "sys/random.h"
#include "sys/sparse_copy.h"

namespace pyro::engine {
namespace {

std::filesystem::path GuestImage(const Engine::Directories& directories, const VmId& id) {
  return registry::VmDirectory(directories.state, id) / "data.img";
}

}  // namespace

registry::VmSpec MakeVmSpec(const VmOptions& options, const std::string& digest,
                            registry::VmOwner owner) {
  registry::VmSpec spec{.id = VmId::FromBits(sys::RandomBits())};
  spec.environment = options.environment;
  spec.environment_digest = digest;
  spec.owner = owner;
  spec.vcpu_count = options.vcpu_count;
  spec.mem_mib = options.mem_mib;
  spec.ttl = std::chrono::seconds(options.ttl_seconds);
  spec.network = options.network;
  spec.allow_host_compat = options.allow_host_compat;
  return spec;
}

wire::SupervisorConfig VmSupervisor(const Engine::Directories& directories,
                                    const registry::VmRecord& vm) {
  wire::SupervisorConfig config;
  config.kind = wire::GuestKind::kVm;
  config.id = vm.id.str();
  config.directory = registry::VmDirectory(directories.state, vm.id);
  config.vcpu_count = static_cast<int>(vm.vcpu_count);
  config.mem_mib = static_cast<int>(vm.mem_mib);
  config.network = vm.network;
  config.ttl = vm.ttl;
  config.dies_with_first_client = vm.owner == registry::VmOwner::kRun;
  return config;
}

std::filesystem::path HostWorkspace(const Engine::Directories& directories, const VmId& id) {
  return registry::VmDirectory(directories.state, id) / "workspace";
}

Result<std::filesystem::path> BlankDisk(const Engine::Directories& directories) {
  return environment::EnsureBlankDisk(directories.cache, kDataDiskBytes);
}

Status EnsureGuestImage(const Engine::Directories& directories, const VmId& id) {
  std::error_code error;
  if (std::filesystem::exists(GuestImage(directories, id), error)) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path blank, BlankDisk(directories));
  PYRO_RETURN_IF_ERROR(sys::CloneSparse(blank, GuestImage(directories, id)));
  return OkStatus();
}

Result<NewVm> CreateVmOnDisk(registry::Registry& registry, const Engine::Directories& directories,
                             const registry::VmSpec& spec, VmDisk disk) {
  std::optional<NewVm> created;
  Status status = registry.WithExclusive([&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(sys::FileLock lock,
                          registry::CreateVmDirectory(directories.state, spec.id));
    PYRO_ASSIGN_OR_RETURN(registry::VmRecord record, registry.InsertVm(spec));
    created.emplace(NewVm{std::move(record), std::move(lock)});
    return OkStatus();
  });
  if (status) {
    status = disk == VmDisk::kGuestImage
                 ? EnsureGuestImage(directories, spec.id)
                 : sys::MakeDirectories(HostWorkspace(directories, spec.id));
  }
  if (!status) {
    (void)RemoveVmFromDisk(registry, directories, spec.id);
    return std::move(status).error();
  }
  return std::move(*created);
}

Status RemoveVmFromDisk(registry::Registry& registry, const Engine::Directories& directories,
                        const VmId& id) {
  // First what takes room: on a full disk the registry could not record anything otherwise.
  std::error_code ignored;
  std::filesystem::remove(GuestImage(directories, id), ignored);
  PYRO_RETURN_IF_ERROR(registry.WithExclusive([&]() -> Status {
    const auto vm = registry.GetVm(id);
    if (vm && vm->state == registry::VmState::kStarted) {
      PYRO_RETURN_IF_ERROR(registry.Apply(id, registry::VmEvent::kLost));
    }
    return registry.DeleteVm(id);
  }));
  return registry::RemoveVmDirectory(directories.state, id);
}

}  // namespace pyro::engine
