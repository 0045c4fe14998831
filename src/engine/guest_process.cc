#include "engine/guest_process.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/try.h"
#include "engine/paths.h"
#include "engine/templates.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"

namespace pyro::engine {
namespace {

constexpr std::chrono::seconds kTakeOverLimit{
    30};  // For whoever holds a guest to answer or let go.
constexpr auto kListenLimit = std::chrono::seconds(60);

// What QEMU and its helpers need from the caller's environment; and what tests need, see
// sys/failpoint.h.
std::vector<std::string> SupervisorEnvironment() {
  std::vector<std::string> env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"};
  for (const char* name : {"HOME", "TMPDIR", "PYRO_FAILPOINT", "PYRO_FAILPOINT_LOG"}) {
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
    // It is being created, started, or on its way out.
    if (deadline.Expired()) {
      return MakeError(ErrorCode::kTimedOut, "the guest's supervisor does not answer", "try again");
    }
    ::poll(nullptr, 0, 10);
  }
}

Status ParseSupervisorAnswer(const std::string& line) {
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

Status ConfigureSupervisor(const Engine::Directories& directories, const GuestParts& parts,
                           wire::SupervisorConfig& config) {
  config.state_dir = directories.state;
  config.kernel = parts.environment.kernel;
  config.initrd = parts.initrd;
  config.base_disk = parts.environment.base_image;
  config.accelerator = vmm::AcceleratorName(parts.verdict.accelerator);
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path program, SupervisorProgram());
  config.net_program = program.parent_path() / "pyro-net";
  return PlanTemplate(directories, parts, config);
}

Result<sys::ChildProcess> SpawnSupervisor(sys::SpawnOptions options,
                                          const wire::SupervisorConfig& config) {
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path program, SupervisorProgram());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe input, sys::MakePipe());
  options.argv.at(0) = program.native();
  options.env = SupervisorEnvironment();
  options.stdin_fd = std::move(input.read);
  options.cwd = "/";
  PYRO_ASSIGN_OR_RETURN(sys::ChildProcess started, sys::ChildProcess::Spawn(std::move(options)));
  // Smaller than a pipe's buffer (64 KiB), so this cannot block. If the supervisor dies before it
  // has read that, what it answers, or does not, tells more.
  if (const Status sent = sys::WriteAll(input.write.get(), FormatSupervisorConfig(config));
      !sent && sent.error().sys_errno != EPIPE) {
    return sent.error();
  }
  return started;
}

Status StartSupervisor(const Engine::Directories& directories, const GuestParts& parts,
                       wire::SupervisorConfig config, const sys::FileLock& lock) {
  PYRO_RETURN_IF_ERROR(ConfigureSupervisor(directories, parts, config));
  PYRO_ASSIGN_OR_RETURN(sys::Pipe output, sys::MakePipe());
  sys::SpawnOptions options;
  options.argv = {""};
  options.stdout_fd = std::move(output.write);
  options.die_with_parent = false;
  sys::UniqueFd shared(::fcntl(lock.fd(), F_DUPFD_CLOEXEC, 3));
  if (!shared.valid()) return sys::ErrnoError(errno, "share the lock");
  static_assert(wire::kLockFd == 3, "the first descriptor passed");
  options.pass.push_back(std::move(shared));
  PYRO_ASSIGN_OR_RETURN(sys::ChildProcess starter, SpawnSupervisor(std::move(options), config));
  PYRO_ASSIGN_OR_RETURN(const std::string answer, sys::ReadAll(output.read.get(), 64 * 1024));
  // The starter is only the fork that detached the supervisor from us.
  PYRO_RETURN_IF_ERROR(starter.Wait(Deadline::After(kListenLimit)));
  return ParseSupervisorAnswer(answer);
}

}  // namespace pyro::engine
