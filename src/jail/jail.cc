#include "jail/jail.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/process_state.h"
#include "sys/wait_for.h"

namespace pyro::jail {
namespace {

constexpr uid_t kFirstUser = 61184;
constexpr uid_t kUserCount = 4336;
constexpr char kLoader[] = "/lib64/ld-linux-x86-64.so.2";
constexpr char kBubblewrapHint[] = "install it: apt-get install bubblewrap";
constexpr std::size_t kDiagnosticHead = 4 * 1024;
constexpr std::size_t kDiagnosticTail = 16 * 1024;
constexpr rlim_t kOpenFiles = 1024;

// FNV-1a: the same in every build, which std::hash does not promise.
std::uint32_t HashText(std::string_view text) {
  std::uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

void Append(std::vector<std::string>& words, std::initializer_list<std::string> more) {
  words.insert(words.end(), more);
}

Result<sys::UniqueFd> Duplicate(int fd) {
  sys::UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return sys::ErrnoError(errno, "duplicate a descriptor");
  return copy;
}

Result<std::vector<std::filesystem::path>> FindLibraries(
    const JailSpec& spec, const std::optional<sys::Credentials>& credentials) {
  if (spec.is_static) return std::vector<std::filesystem::path>();
  std::string program = spec.argv.at(0);
  sys::SpawnOptions options;
  if (spec.program.valid()) {
    PYRO_ASSIGN_OR_RETURN(sys::UniqueFd copy, Duplicate(spec.program.get()));
    options.pass.push_back(std::move(copy));
    program = "/proc/self/fd/3";
  }
  options.argv = {kLoader, "--list", program};
  options.credentials = credentials;
  PYRO_ASSIGN_OR_RETURN(
      sys::CommandOutput output,
      sys::RunCommand(std::move(options), Deadline::After(std::chrono::seconds(10))));
  if (!output.status.success()) {
    return MakeError(ErrorCode::kMissingTool, fmt::format("'{}' cannot be loaded: {}", program,
                                                          PrintableLines(output.stderr_text)));
  }
  return ParseLoaderList(output.stdout_text);
}

Error NotBuilt(std::string_view why, std::string hint) {
  return MakeError(ErrorCode::kUnavailable, fmt::format("the jail could not be built: {}", why),
                   std::move(hint));
}

// bwrap has only its words to tell.
bool SpeaksOfNamespaces(std::string_view text) {
  for (const std::string_view word :
       {"namespace", "uid map", "ermission denied", "not permitted"}) {
    if (text.find(word) != std::string_view::npos) return true;
  }
  return false;
}

bool Says(const char* setting, char value) {
  const auto text = sys::ReadFile(setting, 64);
  return text && !text->empty() && text->front() == value;
}

rlimit Both(rlim_t value) { return {.rlim_cur = value, .rlim_max = value}; }

// Limits far above the needs of our programs. Only lowered: a user may have less already.
std::vector<std::pair<int, rlimit>> JailLimits(std::uint64_t max_file_bytes) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  rlimit size{};
  ::getrlimit(RLIMIT_FSIZE, &size);
  if (max_file_bytes != 0) size = Both(std::min<rlim_t>(size.rlim_max, max_file_bytes));
  return {{RLIMIT_FSIZE, size},
          {RLIMIT_CORE, Both(0)},
          {RLIMIT_NOFILE, Both(std::min(files.rlim_max, kOpenFiles))},
          {RLIMIT_MEMLOCK, Both(0)},
          {RLIMIT_MSGQUEUE, Both(0)},
          {RLIMIT_RTPRIO, Both(0)}};
}

// Not every kernel tells it.
std::optional<pid_t> OnlyChildOf(pid_t parent) {
  const auto child = sys::ReadFile(fmt::format("/proc/{0}/task/{0}/children", parent), 64);
  if (!child) return std::nullopt;
  const auto pid = ParseInt(TrimSpace(*child));
  if (!pid) return std::nullopt;
  return static_cast<pid_t>(*pid);
}

// Where the file of a descriptor is to be found; nullopt: nowhere, or not any more.
std::optional<std::filesystem::path> PathOf(int fd) {
  char target[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), target, sizeof target);
  if (size <= 0 || static_cast<std::size_t>(size) >= sizeof target) return std::nullopt;
  std::filesystem::path path(std::string(target, static_cast<std::size_t>(size)));
  struct stat there {};
  struct stat ours {};
  if (::stat(path.c_str(), &there) != 0 || ::fstat(fd, &ours) != 0 || there.st_dev != ours.st_dev ||
      there.st_ino != ours.st_ino) {
    return std::nullopt;
  }
  return path;
}

}  // namespace

std::optional<sys::Credentials> JailCredentials(std::string_view identity) {
  if (!sys::IsFullRoot()) return std::nullopt;
  const uid_t user = kFirstUser + HashText(identity) % kUserCount;
  return sys::Credentials{.uid = user, .gid = user};
}

Status CheckJailUser() {
  if (!sys::IsRootWithoutOthers()) return OkStatus();
  return MakeError(ErrorCode::kPermissionDenied,
                   "pyro runs as root in a user namespace that has no other user",
                   "run it outside of that namespace, or add users to it: unshare --user "
                   "--map-root-user --map-auto");
}

std::string NamespaceHint() {
  if (Says("/proc/sys/kernel/unprivileged_userns_clone", '0')) {
    return "allow unprivileged user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1";
  }
  if (Says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1')) {
    return "allow unprivileged user namespaces: sudo sysctl "
           "kernel.apparmor_restrict_unprivileged_userns=0";
  }
  if (Says("/proc/sys/user/max_user_namespaces", '0')) {
    return "allow user namespaces: sudo sysctl user.max_user_namespaces=10000";
  }
  return "allow user namespaces for this process: a container, a chroot or a seccomp filter "
         "forbids them";
}

std::vector<std::filesystem::path> ParseLoaderList(std::string_view text) {
  std::set<std::filesystem::path> files;
  for (std::string_view line : Split(text, '\n')) {
    const std::size_t arrow = line.find("=>");
    if (arrow != std::string_view::npos) line.remove_prefix(arrow + 2);
    line = TrimSpace(line);
    line = line.substr(0, line.find(" ("));
    if (line.starts_with('/')) files.emplace(line);
  }
  return {files.begin(), files.end()};
}

std::vector<std::string> JailArguments(const std::string& bwrap, const JailSpec& spec,
                                       const std::vector<std::filesystem::path>& libraries,
                                       const JailDescriptors& descriptors) {
  std::vector<std::string> words = {bwrap,
                                    "--unshare-all",
                                    "--unshare-user",
                                    "--die-with-parent",
                                    "--clearenv",
                                    "--cap-drop",
                                    "ALL",
                                    "--hostname",
                                    "pyro",
                                    "--info-fd",
                                    fmt::format("{}", descriptors.info)};
  if (spec.is_pid_1) words.emplace_back("--as-pid-1");
  if (descriptors.filter >= 0) {
    Append(words, {"--seccomp", fmt::format("{}", descriptors.filter)});
  }
  if (descriptors.hold >= 0) Append(words, {"--block-fd", fmt::format("{}", descriptors.hold)});
  if (spec.network == JailNetwork::kAllowHostNetwork) words.push_back("--share-net");
  for (const std::string& entry : spec.env) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) continue;
    Append(words, {"--setenv", entry.substr(0, equals), entry.substr(equals + 1)});
  }
  std::vector<std::filesystem::path> files = libraries;
  if (descriptors.program < 0) files.emplace_back(spec.argv.at(0));
  if (!spec.is_static) {
    files.emplace_back(kLoader);
    files.emplace_back("/etc/ld.so.cache");
  }
  files.insert(files.end(), spec.read_only.begin(), spec.read_only.end());
  std::set<std::filesystem::path> seen;
  for (const std::filesystem::path& file : files) {
    if (seen.insert(file).second) Append(words, {"--ro-bind-try", file, file});
  }
  Append(words, {"--proc", "/proc", "--dev", "/dev"});
  if (spec.memory_bytes != 0) {
    Append(words, {"--perms", "0700", "--size", fmt::format("{}", spec.memory_bytes), "--tmpfs",
                   kJailMemory});
  }
  if (descriptors.program >= 0) {
    Append(words, {"--perms", "0555", "--ro-bind-data", fmt::format("{}", descriptors.program),
                   spec.argv.at(0)});
  }
  int copy = descriptors.copies;
  for (const JailSpec::Copy& file : spec.copies) {
    Append(words, {"--perms", "0555", "--ro-bind-data", fmt::format("{}", copy++), file.target});
  }
  for (const JailSpec::Alias& alias : spec.aliases) {
    Append(words, {"--ro-bind", alias.source, alias.target});
  }
  Append(words, {"--chdir", "/", "--"});
  words.insert(words.end(), spec.argv.begin(), spec.argv.end());
  return words;
}

std::optional<std::filesystem::path> BindablePath(int fd) {
  return sys::IsFullRoot() ? std::nullopt : PathOf(fd);
}

std::optional<std::filesystem::path> PublicProgram(int fd) {
  const auto program = PathOf(fd);
  if (!program) return std::nullopt;
  constexpr mode_t kReadAndRun = S_IROTH | S_IXOTH;
  struct stat status {};
  if (::fstat(fd, &status) != 0 || (status.st_mode & kReadAndRun) != kReadAndRun) {
    return std::nullopt;
  }
  for (std::filesystem::path at = program->parent_path(); at != "/"; at = at.parent_path()) {
    if (::stat(at.c_str(), &status) != 0 || (status.st_mode & S_IXOTH) == 0) return std::nullopt;
  }
  return program;
}

JailedProcess::JailedProcess(sys::ChildProcess jail, sys::UniqueFd standard_error)
    : jail_(std::move(jail)),
      standard_error_(std::move(standard_error)),
      diagnostics_(kDiagnosticHead, kDiagnosticTail) {}

Result<sys::UniqueFd> MakeReopenable(sys::UniqueFd file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return sys::ErrnoError(errno, "stat");
  if (!sys::IsFullRoot() || (status.st_mode & S_IROTH) != 0) return file;
  sys::UniqueFd copy(::memfd_create("pyro", MFD_CLOEXEC));
  if (!copy.valid()) return sys::ErrnoError(errno, "memfd_create");
  off_t offset = 0;
  while (offset < status.st_size) {
    const auto rest = static_cast<std::size_t>(status.st_size - offset);
    const ssize_t count = ::sendfile(copy.get(), file.get(), &offset, rest);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return sys::ErrnoError(count < 0 ? errno : EIO, "copy a boot file");
  }
  if (::fchmod(copy.get(), 0444) != 0) return sys::ErrnoError(errno, "fchmod");
  return copy;
}

Result<JailedProcess> JailedProcess::Spawn(JailSpec spec, Deadline deadline) {
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path bwrap,
                        sys::FindProgram("bwrap", kBubblewrapHint));
  PYRO_RETURN_IF_ERROR(CheckJailUser());
  const std::optional<sys::Credentials> credentials = JailCredentials(spec.identity);
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> libraries,
                        FindLibraries(spec, credentials));
  PYRO_ASSIGN_OR_RETURN(sys::Pipe diagnostics, sys::MakePipe());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe info, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(diagnostics.read.get()));
  // The program must not wait for us to read what a guest makes it print.
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(diagnostics.write.get()));

  sys::SpawnOptions options;
  JailDescriptors descriptors;
  descriptors.info = 3 + static_cast<int>(spec.pass.size());
  descriptors.copies = descriptors.info + 1;
  if (spec.filter.valid()) descriptors.filter = descriptors.copies++;
  if (spec.program.valid()) descriptors.program = descriptors.copies++;
  const bool bounded = spec.bounds.memory_bytes != 0 || spec.bounds.processes != 0;
  sys::Pipe hold;
  if (bounded) {
    PYRO_ASSIGN_OR_RETURN(hold, sys::MakePipe());
    descriptors.hold = descriptors.copies + static_cast<int>(spec.copies.size());
  }
  options.argv = JailArguments(bwrap, spec, libraries, descriptors);
  if (!spec.random_addresses) {
    PYRO_ASSIGN_OR_RETURN(const std::filesystem::path setarch,
                          sys::FindProgram("setarch", "install it: apt-get install util-linux"));
    options.argv.insert(options.argv.begin(), {setarch.native(), "--addr-no-randomize"});
  }
  options.stdout_fd = std::move(spec.stdout_fd);
  options.stderr_fd = std::move(diagnostics.write);
  options.pass = std::move(spec.pass);
  options.pass.push_back(std::move(info.write));
  if (spec.filter.valid()) options.pass.push_back(std::move(spec.filter));
  if (spec.program.valid()) {
    // bwrap copies from where the descriptor stands.
    if (::lseek(spec.program.get(), 0, SEEK_SET) != 0) return sys::ErrnoError(errno, "lseek");
    options.pass.push_back(std::move(spec.program));
  }
  for (JailSpec::Copy& copy : spec.copies) options.pass.push_back(std::move(copy.content));
  if (bounded) options.pass.push_back(std::move(hold.read));
  options.niceness = spec.bounds.niceness;
  options.cwd = std::string("/");
  options.credentials = credentials;
  options.limits = JailLimits(spec.max_file_bytes);
  options.own_pid_namespace = true;
  auto jail = sys::ChildProcess::Spawn(std::move(options));
  if (!jail) {
    const Error& why = jail.error();
    // Such as a limit of this process, which has nothing to do with namespaces.
    return NotBuilt(why.message,
                    why.hint.empty() && why.sys_errno != 0 ? NamespaceHint() : why.hint);
  }

  JailedProcess process(std::move(*jail), std::move(diagnostics.read));
  PYRO_RETURN_IF_ERROR(process.AwaitProgram(info.read.get(), deadline));
  if (bounded) {
    process.Bound(spec.bounds, credentials);
    // One that has ended meanwhile shows in its exit status.
    (void)sys::WriteAll(hold.write.get(), "x");
  }
  return process;
}

Status JailedProcess::AwaitProgram(int info, Deadline deadline) {
  std::string text;
  while (text.find('}') == std::string::npos) {
    if (sys::WaitFor(info, POLLIN, deadline) == sys::Waited::kTimedOut) {
      return MakeError(ErrorCode::kTimedOut, "the jail was not ready in time");
    }
    char bytes[256];
    const ssize_t count = ::read(info, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || text.size() > 4096) {
      static_cast<void>(jail_.Wait(deadline));
      const std::string said = PrintableLines(Diagnostics());
      return NotBuilt(said, SpeaksOfNamespaces(said) ? NamespaceHint() : "see 'pyro doctor'");
    }
    text.append(bytes, static_cast<std::size_t>(count));
  }
  return OkStatus();
}

// bwrap and its child wait meanwhile, and no other process is in the jail.
void JailedProcess::Bound(const Bounds& bounds,
                          const std::optional<sys::Credentials>& credentials) {
  const std::optional<pid_t> child = OnlyChildOf(jail_.pid());
  if (auto group = Cgroup::Make(DelegatedGroup(), bounds);
      group && child && group->Add(jail_.pid()) && group->Add(*child)) {
    group_.emplace(std::move(*group));
    return;
  }
  if (!child || bounds.processes == 0) return;
  // The kernel counts the processes of a user namespace by themselves.
  const rlimit limit = Both(static_cast<rlim_t>(bounds.processes));
  if (::prlimit(*child, RLIMIT_NPROC, &limit, nullptr) == 0 || !credentials) return;
  // A root without CAP_SYS_RESOURCE, as in a container: the jail's own user may do it.
  sys::SpawnOptions options;
  options.argv = {"prlimit", fmt::format("--pid={}", *child),
                  fmt::format("--nproc={0}:{0}", bounds.processes)};
  options.search_path = true;
  options.credentials = credentials;
  (void)sys::RunCommand(std::move(options), Deadline::After(std::chrono::seconds(5)));
}

std::chrono::milliseconds JailedProcess::ProcessorTime() const {
  using std::chrono::milliseconds;
  const std::optional<pid_t> pid = OnlyChildOf(jail_.pid());
  clockid_t clock = 0;
  timespec time{};
  if (!pid || ::clock_getcpuclockid(*pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
    return milliseconds(0);
  }
  return std::chrono::duration_cast<milliseconds>(std::chrono::seconds(time.tv_sec) +
                                                  std::chrono::nanoseconds(time.tv_nsec));
}

void JailedProcess::Kill() { static_cast<void>(jail_.Signal(SIGKILL)); }

Result<sys::ExitStatus> JailedProcess::Wait(Deadline deadline) {
  PYRO_ASSIGN_OR_RETURN(sys::ExitStatus status, jail_.Wait(deadline));
  // bwrap reports a signal as a shell does.
  if (!status.signalled && status.code > 128) {
    status = {.signalled = true, .code = status.code - 128};
  }
  return status;
}

void JailedProcess::DrainStandardError() {
  char bytes[4096];
  while (true) {
    const ssize_t count = ::read(standard_error_.get(), bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    diagnostics_.Append(std::string_view(bytes, static_cast<std::size_t>(count)));
  }
}

std::string JailedProcess::Diagnostics() {
  DrainStandardError();
  return diagnostics_.Text();
}

}  // namespace pyro::jail
