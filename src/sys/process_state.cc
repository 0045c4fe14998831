#include "sys/process_state.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sys/files.h"

namespace pyro::sys {
namespace {

// Enough for a call and for a supervisor of one guest, QEMU's own included; measured with tests.
constexpr rlim_t kNeededFiles = 256;
// A supervisor with 256 commands, each with its files in a journal, and as many clients.
constexpr rlim_t kProgramFiles = 4096;
constexpr rlim_t kHostProcessFiles = 1024;
constexpr rlim_t kStackBytes = 8 << 20;
constexpr rlim_t kNeededProcesses = 64;  // Threads count: QEMU's, the supervisor's, the caller's.
constexpr std::uint64_t kMachineMib = 2048;  // QEMU beyond the guest's memory: code that TCG makes.
// The jail's users and those of host_compat: what root becomes.
constexpr std::uint64_t kFirstOther = 61184;
constexpr std::uint64_t kLastOther = 65519;

void FillStandardDescriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number is `fd`: those before it are open by now. A closed stdout becomes a
    // descriptor that cannot be written, so that lost output is an error.
    [[maybe_unused]] const int filled = ::open(
        "/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);  // NOLINT: inherited as such
  }
}

// An ignored SIGCHLD would have the kernel throw the exit status of every child away.
void SetDispositions() {
  struct sigaction child {};
  if (::sigaction(SIGCHLD, nullptr, &child) == 0 &&
      (child.sa_handler == SIG_IGN || (child.sa_flags & SA_NOCLDWAIT) != 0)) {
    if (child.sa_handler == SIG_IGN) child.sa_handler = SIG_DFL;
    child.sa_flags &= ~SA_NOCLDWAIT;
    ::sigaction(SIGCHLD, &child, nullptr);
  }
  for (const int signo : {SIGPIPE, SIGXFSZ}) {
    struct sigaction action {};
    if (::sigaction(signo, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) {
      action.sa_handler = SIG_IGN;
      ::sigaction(signo, &action, nullptr);
    }
  }
}

// The soft limit becomes at least `wanted`, or the hard one where that is lower.
void RaiseSoftLimit(__rlimit_resource resource, rlim_t wanted) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return;
  const rlim_t target = std::min(wanted, limit.rlim_max);
  if (limit.rlim_cur >= target) return;
  limit.rlim_cur = target;
  ::setrlimit(resource, &limit);
}

void SetThreadStacks() {
  pthread_attr_t attributes;
  std::size_t bytes = 0;
  if (::pthread_getattr_default_np(&attributes) != 0) return;
  // The C library has taken the size from the limit that the process began with.
  if (::pthread_attr_getstacksize(&attributes, &bytes) == 0 && bytes < kStackBytes &&
      ::pthread_attr_setstacksize(&attributes, kStackBytes) == 0) {
    ::pthread_setattr_default_np(&attributes);
  }
  ::pthread_attr_destroy(&attributes);
}

rlim_t HardLimit(__rlimit_resource resource) {
  rlimit limit{};
  return ::getrlimit(resource, &limit) == 0 ? limit.rlim_max : RLIM_INFINITY;
}

Error TooLow(std::string what, std::string hint) {
  return MakeError(ErrorCode::kLimit, std::move(what), std::move(hint));
}

// A line of /proc/self/uid_map or gid_map.
struct Mapping {
  std::uint64_t inside = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
};

// nullopt: a kernel without user namespaces.
std::optional<std::vector<Mapping>> ReadMappings(const char* file) {
  const auto text = ReadFile(file, 64 * 1024);
  if (!text) return std::nullopt;
  std::istringstream numbers(*text);
  std::vector<Mapping> mappings;
  for (Mapping one; numbers >> one.inside >> one.outside >> one.count;) mappings.push_back(one);
  return mappings;
}

// Whether all users, or groups, from `first` to `last` exist here.
bool IsMapped(const char* file, std::uint64_t first, std::uint64_t last) {
  const auto mappings = ReadMappings(file);
  return !mappings || std::any_of(mappings->begin(), mappings->end(), [&](const Mapping& one) {
    return one.inside <= first && last < one.inside + one.count;
  });
}

}  // namespace

void PrepareProgram() {
  FillStandardDescriptors();
  SetDispositions();
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  ::umask(::umask(077) & 077);
  RaiseSoftLimit(RLIMIT_NOFILE, kProgramFiles);
  RaiseSoftLimit(RLIMIT_STACK, kStackBytes);
  SetThreadStacks();
  for (const auto resource : {RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA, RLIMIT_NPROC}) {
    RaiseSoftLimit(resource, RLIM_INFINITY);
  }
}

void ForbidCore() {
  // Less than a page is none; with 0 a program of core_pattern would still get the memory.
  const rlim_t least = std::min<rlim_t>(HardLimit(RLIMIT_CORE), 1);
  const rlimit limit{least, least};
  ::setrlimit(RLIMIT_CORE, &limit);
}

void PrepareHostProcess() {
  FillStandardDescriptors();
  SetDispositions();
  RaiseSoftLimit(RLIMIT_NOFILE, kHostProcessFiles);
}

Status CheckOpenFiles() {
  const rlim_t files = HardLimit(RLIMIT_NOFILE);
  if (files >= kNeededFiles) return OkStatus();
  return TooLow(
      fmt::format("this process may open {} files, and pyro needs {}", files, kNeededFiles),
      fmt::format("raise the limit before: ulimit -n {}", kHostProcessFiles));
}

Status CheckGuestLimits(const GuestNeeds& needs) {
  if (Status files = CheckOpenFiles(); !files) return files;
  const rlim_t processes = HardLimit(RLIMIT_NPROC);
  if (processes < kNeededProcesses) {
    return TooLow(fmt::format("this user may have {} processes, and a guest needs {}", processes,
                              kNeededProcesses),
                  "raise the limit before: ulimit -u 1024");
  }
  if (HardLimit(RLIMIT_FSIZE) < needs.file_bytes) {
    return TooLow(fmt::format("a guest needs a file of {} MiB, and this process {}",
                              needs.file_bytes >> 20, FileSizeLimitText()),
                  "raise the limit before: ulimit -f unlimited");
  }
  const std::uint64_t mib = needs.memory_mib + kMachineMib;
  for (const auto& [resource, option] : {std::pair(RLIMIT_AS, 'v'), std::pair(RLIMIT_DATA, 'd')}) {
    const rlim_t limit = HardLimit(resource);
    if (limit == RLIM_INFINITY || limit >> 20 >= mib) continue;
    return TooLow(fmt::format("this process may use {} MiB of address space (ulimit -{}), and a "
                              "guest of {} MiB needs {}",
                              limit >> 20, option, needs.memory_mib, mib),
                  fmt::format("raise the limit before: ulimit -{} unlimited", option));
  }
  return OkStatus();
}

std::string FileSizeLimitText() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return "";
  return fmt::format("may write files of at most {} KiB (ulimit -f)", limit.rlim_cur >> 10);
}

bool RootMayBecomeOthers() {
  return IsMapped("/proc/self/uid_map", kFirstOther, kLastOther) &&
         IsMapped("/proc/self/gid_map", kFirstOther, kLastOther);
}

bool IsFullRoot() { return ::geteuid() == 0 && RootMayBecomeOthers(); }

bool IsRootWithoutOthers() {
  if (::geteuid() != 0 || RootMayBecomeOthers()) return false;
  const auto users = ReadMappings("/proc/self/uid_map");
  return users && !users->empty() && users->front().inside == 0 && users->front().outside == 0;
}

bool CannotGainPrivileges() { return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; }

}  // namespace pyro::sys
