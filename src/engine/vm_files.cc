#include "engine/vm_files.h"

#include <fcntl.h>

#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "base/json.h"
#include "base/try.h"
#include "engine/paths.h"
#include "environment/blank.h"
#include "registry/vm_directory.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/random.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {
namespace {

constexpr auto kListenLimit = std::chrono::seconds(60);

// What QEMU and its helpers need from the caller's environment.
std::vector<std::string> SupervisorEnvironment() {
  std::vector<std::string> env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"};
  for (const char* name : {"HOME", "TMPDIR"}) {
    if (const std::string value = sys::Environment(name); !value.empty()) {
      env.push_back(std::string(name) + "=" + value);
    }
  }
  return env;
}

std::filesystem::path GuestImage(const Engine::Directories& directories, const VmId& id) {
  return registry::VmDirectory(directories.state, id) / "data.img";
}

Status ParseAnswer(const std::string& line) {
  auto json = ParseJson(line, 64 * 1024);
  if (json && json->is_object() && json->value("listening", false)) return OkStatus();
  const Error silent = MakeError(ErrorCode::kInternal, "the supervisor ended before it listened");
  if (!json || !json->is_object() || !json->contains("error")) return silent;
  const Json& error = (*json)["error"];
  const auto code = GetInt(error, "code", 0, 1000);
  auto message = GetString(error, "message");
  auto hint = GetString(error, "hint");
  if (!code || !message || !hint) return silent;
  return MakeError(ErrorCodeFromNumber(static_cast<int>(*code)).value_or(ErrorCode::kInternal),
                   std::move(*message), std::move(*hint));
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

std::filesystem::path HostWorkspace(const Engine::Directories& directories, const VmId& id) {
  return registry::VmDirectory(directories.state, id) / "workspace";
}

Status EnsureGuestImage(const Engine::Directories& directories, const VmId& id) {
  std::error_code error;
  if (std::filesystem::exists(GuestImage(directories, id), error)) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path blank,
                        environment::EnsureBlankDisk(directories.cache, kDataDiskBytes));
  PYRO_RETURN_IF_ERROR(environment::CloneBlank(blank, GuestImage(directories, id)));
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

Status StartSupervisor(const Engine::Directories& directories, const registry::VmRecord& vm,
                       const GuestParts& parts, const sys::FileLock& lock) {
  wire::SupervisorConfig config{.vm_id = vm.id};
  config.state_dir = directories.state;
  config.directory = registry::VmDirectory(directories.state, vm.id);
  config.kernel = parts.environment.kernel;
  config.initrd = parts.initrd;
  config.base_disk = parts.environment.base_image;
  config.vcpu_count = static_cast<int>(vm.vcpu_count);
  config.mem_mib = static_cast<int>(vm.mem_mib);
  config.network = vm.network;
  config.accelerator = vmm::AcceleratorName(parts.verdict.accelerator);
  config.ttl = vm.ttl;
  config.dies_with_first_client = vm.owner == registry::VmOwner::kRun;

  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path program, SupervisorProgram());
  config.net_program = program.parent_path() / "pyro-net";
  PYRO_ASSIGN_OR_RETURN(sys::Pipe input, sys::MakePipe());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe output, sys::MakePipe());
  sys::SpawnOptions options;
  options.argv = {program.native()};
  options.env = SupervisorEnvironment();
  options.stdin_fd = std::move(input.read);
  options.stdout_fd = std::move(output.write);
  options.cwd = "/";
  options.die_with_parent = false;
  sys::UniqueFd shared(::fcntl(lock.fd(), F_DUPFD_CLOEXEC, 3));
  if (!shared.valid()) return sys::ErrnoError(errno, "share the lock");
  static_assert(wire::kLockFd == 3, "the first descriptor passed");
  options.pass.push_back(std::move(shared));

  PYRO_ASSIGN_OR_RETURN(sys::ChildProcess starter, sys::ChildProcess::Spawn(std::move(options)));
  // Smaller than a pipe's buffer (64 KiB), so this cannot block.
  const std::string text = FormatSupervisorConfig(config);
  PYRO_RETURN_IF_ERROR(sys::WriteAll(input.write.get(), text));
  input.write.Reset();
  PYRO_ASSIGN_OR_RETURN(const std::string answer, sys::ReadAll(output.read.get(), 64 * 1024));
  // The starter is only the fork that detached the supervisor from us.
  PYRO_RETURN_IF_ERROR(starter.Wait(Deadline::After(kListenLimit)));
  return ParseAnswer(answer);
}

}  // namespace pyro::engine
