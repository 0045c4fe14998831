#include "engine/instance/guest_process.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/image_defaults.h"
#include "engine/instance/templates.h"
#include "engine/limits.h"
#include "engine/paths.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {
namespace {

constexpr std::chrono::seconds kTakeOverLimit{
    30};  // For the holder of a guest to answer or release it.
constexpr auto kListenLimit = std::chrono::seconds(60);

// The variables that QEMU and its helpers need from the caller's environment; and those of tests,
// see sys/failpoint.h.
std::vector<std::string> SupervisorEnvironment() {
  std::vector<std::string> env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"};
  for (const char* name : {"HOME", "TMPDIR", "SSL_CERT_FILE", "PYRO_FAILPOINT",
                           "PYRO_FAILPOINT_SIGNAL", "PYRO_FAILPOINT_LOG"}) {
    if (const std::string value = sys::Environment(name); !value.empty()) {
      env.push_back(std::string(name) + "=" + value);
    }
  }
  return env;
}

}  // namespace

Result<Held> TakeOver(const GuestPlace& place) {
  const Deadline deadline = Deadline::After(kTakeOverLimit);
  while (true) {
    Held held;
    PYRO_ASSIGN_OR_RETURN(held.lock, sys::FileLock::TryAcquire(place.lock));
    if (held.lock) return held;
    auto link = SupervisorLink::Connect(place.socket);
    if (link) {
      held.link.emplace(std::move(*link));
      return held;
    }
    if (link.error().code == ErrorCode::kProtocol) return std::move(link).error();
    // It is being created, started or stopped.
    if (deadline.Expired()) {
      return MakeError(ErrorCode::kTimedOut, "the guest's supervisor does not answer", "try again");
    }
    ::poll(nullptr, 0, 10);
  }
}

Status ConfigureSupervisor(const Context& context, const GuestParts& parts,
                           wire::SupervisorConfig& config) {
  PYRO_RETURN_IF_ERROR(CheckCpus(parts.machine.accelerator, config.vcpu_count));
  config.state_dir = context.state;
  config.kernel = parts.kernel;
  config.initrd = parts.initrd;
  config.base_disk = parts.environment.base_image;
  for (const auto& layer : parts.environment.layer_images) config.layer_disks.push_back({layer});
  config.accelerator = NameOf(parts.machine);
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path program, SupervisorProgram());
  if (const auto image = ImageOf(parts.environment)) ConfigureGuest(*image, config);
  config.net_program = program.parent_path() / "pyro-net";
  config.proxy_program = program.parent_path() / "pyro-proxy";
  return PlanTemplate(context, parts, config);
}

Result<sys::ChildProcess> SpawnSupervisor(sys::SpawnOptions options,
                                          const wire::SupervisorConfig& config) {
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path program, SupervisorProgram());
  options.argv.at(0) = program.native();
  options.env = SupervisorEnvironment();
  options.cwd = "/";
  return sys::SpawnWithInput(std::move(options), FormatSupervisorConfig(config));
}

Status StartSupervisor(const Context& context, const GuestParts& parts,
                       wire::SupervisorConfig config, const sys::FileLock& lock) {
  PYRO_RETURN_IF_ERROR(ConfigureSupervisor(context, parts, config));
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock reserved,
                        MakeRoomForGuest(context, config.id, config.mem_mib));
  PYRO_ASSIGN_OR_RETURN(sys::Pipe output, sys::MakePipe());
  sys::SpawnOptions options;
  options.argv = {""};
  options.stdout_fd = std::move(output.write);
  options.die_with_parent = false;
  static_assert(wire::kLockFd == 3 && wire::kGuestFd == 4, "the first descriptors passed");
  for (const sys::FileLock* one : {&lock, &reserved}) {
    sys::UniqueFd shared(::fcntl(one->fd(), F_DUPFD_CLOEXEC, 3));
    if (!shared.valid()) return sys::ErrnoError(errno, "share the lock");
    options.pass.push_back(std::move(shared));
  }
  PYRO_ASSIGN_OR_RETURN(sys::ChildProcess starter, SpawnSupervisor(std::move(options), config));
  PYRO_ASSIGN_OR_RETURN(const std::string answer,
                        sys::ReadAll(output.read.get(), wire::kMaxAnswerBytes));
  // The starter is only the fork that detached the supervisor from us.
  PYRO_RETURN_IF_ERROR(starter.Wait(Deadline::After(kListenLimit)));
  return wire::ParseAnswer(answer);
}

}  // namespace pyro::engine
