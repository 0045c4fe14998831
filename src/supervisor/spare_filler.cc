#include "supervisor/spare_filler.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/ids.h"
#include "base/time.h"
#include "base/try.h"
#include "state/instance/instance_directory.h"
#include "state/pool/spare_pool.h"
#include "state/quota.h"
#include "supervisor/start_program.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/file_lock.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/random.h"
#include "sys/sparse_copy.h"
#include "sys/wait_for.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr seconds kOthersLimit{120};  // For another process that fills the pool.
constexpr seconds kTakenLimit{2};
constexpr seconds kLaunchGrace{60};  // Beyond the guest's own limits, for a host that is busy.

// What no caller has asked for leaves as much again to others.
Status CheckMemory(const state::SparePool& pool) {
  PYRO_ASSIGN_OR_RETURN(const sys::HostMemory memory, sys::ReadHostMemory());
  const std::uint64_t mem_mib = static_cast<std::uint64_t>(pool.mem_mib);
  if (memory.available_mib >= (pool.keeper.empty() ? mem_mib : 2 * mem_mib)) return OkStatus();
  return MakeError(ErrorCode::kLimit,
                   fmt::format("a spare of {} MiB does not fit: {} MiB of memory are available",
                               mem_mib, memory.available_mib),
                   "keep fewer spares, or smaller ones");
}

// One line, or the bytes before the end.
Result<std::string> ReadLine(int fd, Deadline deadline) {
  std::string text;
  while (text.find('\n') == std::string::npos && text.size() < wire::kMaxAnswerBytes) {
    if (sys::WaitFor(fd, POLLIN, deadline) == sys::Waited::kTimedOut) {
      return MakeError(ErrorCode::kTimedOut, "a spare did not come up in time");
    }
    char bytes[4096];
    const ssize_t n = ::read(fd, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(bytes, static_cast<std::size_t>(n));
  }
  return text.substr(0, text.find('\n'));
}

Status Launch(const wire::SupervisorConfig& config, const sys::FileLock& lock,
              const sys::FileLock& reserved) {
  PYRO_ASSIGN_OR_RETURN(sys::Pipe output, sys::MakePipe());
  sys::SpawnOptions options;
  options.stdout_fd = std::move(output.write);
  for (const sys::FileLock* one : {&lock, &reserved}) {
    sys::UniqueFd shared(::fcntl(one->fd(), F_DUPFD_CLOEXEC, 3));
    if (!shared.valid()) return sys::ErrnoError(errno, "share the lock");
    options.pass.push_back(std::move(shared));
  }
  const Deadline deadline = Deadline::After(config.boot_timeout + kLaunchGrace);
  PYRO_ASSIGN_OR_RETURN(sys::ChildProcess starter, StartProgram(std::move(options), config));
  PYRO_ASSIGN_OR_RETURN(const std::string line, ReadLine(output.read.get(), deadline));
  PYRO_RETURN_IF_ERROR(starter.Wait(deadline));
  return wire::ParseAnswer(line);
}

Status StartSpare(const state::SparePool& pool) {
  PYRO_RETURN_IF_ERROR(CheckMemory(pool));
  PYRO_ASSIGN_OR_RETURN(wire::SupervisorConfig config, wire::ParseSupervisorConfig(pool.guest));
  const InstanceId id = InstanceId::FromBits(InstanceKind::kVm, sys::RandomBits());
  config.id = id.str();
  config.directory = pool.directory / id.str();
  config.spare_pool = pool.directory;
  config.ttl = pool.ttl;
  const state::GuestLimits limits = state::ReadGuestLimits(config.state_dir);
  PYRO_RETURN_IF_ERROR(state::CheckFreeDisk(config.state_dir, limits.free_disk_mib));
  PYRO_RETURN_IF_ERROR(state::CheckHostMemory(limits.host_memory_mib));
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock reserved,
                        state::ReserveGuest(config.state_dir, config.id, pool.mem_mib, limits));
  if (::mkdir(config.directory.c_str(), 0700) != 0) {
    return sys::ErrnoError(errno, "create directory", config.directory.native());
  }
  PYRO_FAILPOINT("spare.directory-made");
  PYRO_ASSIGN_OR_RETURN(const std::optional<sys::FileLock> lock,
                        sys::FileLock::TryAcquire(config.directory / "lock"));
  if (!lock) return MakeError(ErrorCode::kInternal, "a new spare's lock is taken");
  Status started = OkStatus();
  if (auto disk = sys::CloneSparse(pool.blank, config.directory / "data.img"); !disk) {
    started = std::move(disk).error();
  } else {
    PYRO_FAILPOINT("spare.disk-made");
    started = Launch(config, *lock, reserved);
  }
  if (!started) (void)sys::RemoveTree(config.directory);
  return started;
}

}  // namespace

Status FillSparePool(const fs::path& directory, const Clock& clock,
                     const std::function<void(std::string_view which)>& on_spare) {
  PYRO_ASSIGN_OR_RETURN(
      const sys::FileLock lock,
      sys::FileLock::Acquire(state::SparePoolLock(directory), Deadline::After(kOthersLimit)));
  for (int started = 0;; ++started) {
    // What is wanted may change meanwhile.
    PYRO_ASSIGN_OR_RETURN(const state::SparePool pool, state::ReadSparePool(directory));
    PYRO_RETURN_IF_ERROR(OpenKeeper(pool));
    const int waiting = state::ClearDeadSpares(directory);
    const bool full = waiting >= pool.count;
    // Their time begins now: a short one would be over before the last of them is ready.
    if (full && started > 0) state::TouchSparePool(directory);
    const bool begun = started > 0 && started < pool.count;
    if (full || (!begun && state::SparePoolExpiry(pool) <= clock.Now())) return OkStatus();
    if (on_spare) on_spare(fmt::format("{} of {}", waiting + 1, pool.count));
    PYRO_RETURN_IF_ERROR(StartSpare(pool));
    PYRO_FAILPOINT("spare.started");
  }
}

void AwaitEndOfSpare(const wire::SupervisorConfig& filler) {
  if (filler.id.empty()) return;
  const Deadline deadline = Deadline::After(kTakenLimit);
  const fs::path spare = filler.directory / filler.id;
  // The lock of its supervisor, which is removed with its directory, or becomes that of a task.
  const auto over = sys::FileLock::Acquire(spare / "lock", deadline);
  if (over || over.error().code != ErrorCode::kNotFound) return;
  (void)sys::FileLock::Acquire(state::InstanceLock(filler.state_dir, state::TaskOfSpare(spare)),
                               deadline);
}

void StartSpareFiller(const fs::path& state_dir, const fs::path& pool, const std::string& taken) {
  wire::SupervisorConfig config;
  config.kind = wire::GuestKind::kSparePool;
  config.state_dir = state_dir;
  config.directory = pool;
  config.id = taken;
  StartDetached("spares", std::move(config));
}

}  // namespace pyro::supervisor
