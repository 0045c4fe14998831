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

std::filesystem::path GuestImage(const Context& context, const InstanceId& id) {
  return registry::VmDirectory(context.state, id) / "data.img";
}

}  // namespace

registry::InstanceSpec MakeVmSpec(const VmOptions& options, const std::string& digest,
                                  registry::InstanceOwner owner) {
  registry::InstanceSpec spec{.id = InstanceId::FromBits(InstanceKind::kVm, sys::RandomBits())};
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

wire::SupervisorConfig VmSupervisor(const Context& context, const registry::InstanceRecord& vm) {
  wire::SupervisorConfig config;
  config.kind = wire::GuestKind::kVm;
  config.id = vm.id.str();
  config.directory = registry::VmDirectory(context.state, vm.id);
  config.vcpu_count = static_cast<int>(vm.vcpu_count);
  config.mem_mib = static_cast<int>(vm.mem_mib);
  config.network = vm.network;
  config.ttl = vm.ttl;
  config.dies_with_first_client = vm.owner == registry::InstanceOwner::kRun;
  return config;
}

std::filesystem::path HostWorkspace(const Context& context, const InstanceId& id) {
  return registry::VmDirectory(context.state, id) / "workspace";
}

Result<std::filesystem::path> BlankDisk(const Context& context) {
  return environment::EnsureBlankDisk(context.cache, kDataDiskBytes);
}

Status EnsureGuestImage(const Context& context, const InstanceId& id) {
  std::error_code error;
  if (std::filesystem::exists(GuestImage(context, id), error)) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path blank, BlankDisk(context));
  PYRO_RETURN_IF_ERROR(sys::CloneSparse(blank, GuestImage(context, id)));
  return OkStatus();
}

Result<NewVm> CreateVmOnDisk(registry::Registry& registry, const Context& context,
                             const registry::InstanceSpec& spec, VmDisk disk) {
  std::optional<NewVm> created;
  Status status = registry.WithExclusive([&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(sys::FileLock lock, registry::CreateVmDirectory(context.state, spec.id));
    PYRO_ASSIGN_OR_RETURN(registry::InstanceRecord record, registry.Insert(spec));
    created.emplace(NewVm{std::move(record), std::move(lock)});
    return OkStatus();
  });
  if (status) {
    status = disk == VmDisk::kGuestImage ? EnsureGuestImage(context, spec.id)
                                         : sys::MakeDirectories(HostWorkspace(context, spec.id));
  }
  if (!status) {
    (void)RemoveVmFromDisk(registry, context, spec.id);
    return std::move(status).error();
  }
  return std::move(*created);
}

Status RemoveVmFromDisk(registry::Registry& registry, const Context& context,
                        const InstanceId& id) {
  // First the files, to make room: on a full disk the registry could not record a change.
  std::error_code ignored;
  std::filesystem::remove(GuestImage(context, id), ignored);
  PYRO_RETURN_IF_ERROR(registry.WithExclusive([&]() -> Status {
    const auto vm = registry.Get(id);
    if (vm && vm->state == registry::InstanceState::kStarted) {
      PYRO_RETURN_IF_ERROR(registry.Apply(id, registry::InstanceEvent::kLost));
    }
    return registry.Delete(id);
  }));
  return registry::RemoveVmDirectory(context.state, id);
}

}  // namespace pyro::engine
