#include "sys/process_ref.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"

namespace pyro::sys {
namespace {

Result<std::uint64_t> StartTicks(pid_t pid) {
  PYRO_ASSIGN_OR_RETURN(const std::string stat, ReadFile(fmt::format("/proc/{}/stat", pid), 4096));
  // The second field is the program's name in parentheses and may hold any character: count from
  // its end.
  const std::size_t end = stat.rfind(')');
  if (end == std::string::npos)
    return MakeError(ErrorCode::kInternal, "/proc/PID/stat has no name");
  const auto fields = Split(std::string_view(stat).substr(end + 1), ' ');
  // Field 22; the piece before the first space is empty, and is field 2.
  constexpr std::size_t kStartTime = 20;
  if (fields.size() <= kStartTime)
    return MakeError(ErrorCode::kInternal, "/proc/PID/stat is short");
  PYRO_ASSIGN_OR_RETURN(const std::int64_t ticks, ParseInt(fields[kStartTime]));
  return static_cast<std::uint64_t>(ticks);
}

}  // namespace

Result<ProcessRef> ProcessRef::Of(pid_t pid) {
  ProcessRef ref;
  ref.pid = pid;
  PYRO_ASSIGN_OR_RETURN(ref.start_ticks, StartTicks(pid));
  PYRO_ASSIGN_OR_RETURN(ref.boot_id, BootId());
  return ref;
}

Result<UniqueFd> ProcessRef::Open() const {
  const Error gone = MakeError(ErrorCode::kNotFound, fmt::format("process {} is gone", pid));
  PYRO_ASSIGN_OR_RETURN(const std::string boot, BootId());
  if (boot != boot_id) return gone;
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return errno == ESRCH ? gone : ErrnoError(errno, "pidfd_open");
  UniqueFd pidfd(static_cast<int>(fd));
  // Checked after the pidfd is held, so that the pid cannot change hands in between.
  const auto ticks = StartTicks(pid);
  if (!ticks || *ticks != start_ticks) return gone;
  return pidfd;
}

Json ProcessRef::ToJson() const {
  return {{"pid", pid}, {"start_ticks", start_ticks}, {"boot_id", boot_id}};
}

Result<ProcessRef> ProcessRef::FromJson(const Json& json) {
  ProcessRef ref;
  PYRO_ASSIGN_OR_RETURN(const std::int64_t pid, GetInt(json, "pid", 1, INT_MAX));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t ticks, GetInt(json, "start_ticks", 0, INT64_MAX));
  PYRO_ASSIGN_OR_RETURN(ref.boot_id, GetString(json, "boot_id", 128));
  ref.pid = static_cast<pid_t>(pid);
  ref.start_ticks = static_cast<std::uint64_t>(ticks);
  return ref;
}

Status SignalProcess(int pidfd, int signo) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signo, nullptr, 0) != 0 && errno != ESRCH) {
    return ErrnoError(errno, "signal");
  }
  return OkStatus();
}

}  // namespace pyro::sys
