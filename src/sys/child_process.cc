#include "sys/child_process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/niceness.h"
#include "sys/process_ref.h"
#include "sys/seccomp.h"
#include "sys/wait_for.h"

namespace pyro::sys {
namespace {

constexpr char kProcessesHint[] =
    "end some processes of this user, or raise the limit before: ulimit -u 4096";

// The step that failed in the child, sent through the error pipe with the errno.
enum class Step : int {
  kDescriptors,
  kSession,
  kLimits,
  kProc,
  kCredentials,
  kParent,
  kDirectory,
  kFilter,
  kExec
};

struct Failure {
  Step step;
  int number;
};

std::string_view StepName(Step step) {
  switch (step) {
    case Step::kDescriptors:
      return "prepare descriptors for";
    case Step::kSession:
      return "start a session for";
    case Step::kLimits:
      return "limit";
    case Step::kProc:
      return "mount /proc for";
    case Step::kCredentials:
      return "change user for";
    case Step::kParent:
      return "bind to its parent";
    case Step::kDirectory:
      return "enter the working directory of";
    case Step::kFilter:
      return "set the seccomp filter of";
    case Step::kExec:
      return "run";
  }
  return "run";
}

Error StepError(const Failure& failure, const std::string& program) {
  return ErrnoError(failure.number, StepName(failure.step), program);
}

// All memory that the child needs, prepared before fork: afterwards only async-signal-safe calls
// are made.
struct Plan {
  const char* program = nullptr;
  std::vector<char*> argv;
  std::vector<char*> script_argv;  // sh PROGRAM ARGUMENTS…, for a program without a known format.
  std::vector<char*> env;
  std::vector<int> sources;  // Descriptors that become 0, 1, 2, …
  std::vector<int> staged;   // Room for their duplicates.
  const SpawnOptions* options = nullptr;
  Niceness niceness;
  std::optional<Failure> failure;  // Of a child that shares this memory; others send theirs.
  bool shared = false;             // The child shares this memory until it execs.
  pid_t parent = 0;
  int program_fd = -1;
  int error_fd = -1;
  int error_read_fd = -1;    // The parent's.
  int users_fd = -1;         // In a user namespace: the child asks here for its users to be mapped.
  int users_parent_fd = -1;  // The parent's end.
};

[[noreturn]] void Fail(Plan& plan, Step step) {
  const Failure failure{step, errno};
  if (plan.shared) {
    plan.failure = failure;
  } else {
    [[maybe_unused]] const ssize_t n = ::write(plan.error_fd, &failure, sizeof failure);
  }
  ::_exit(127);
}

// The same file above all targets, so that no target overwrites a source that is still needed.
int Above(Plan& plan, int fd, int targets) {
  if (fd >= targets) return fd;
  const int staged = ::fcntl(fd, F_DUPFD_CLOEXEC, targets);
  if (staged < 0) Fail(plan, Step::kDescriptors);
  return staged;
}

void ArrangeDescriptors(Plan& plan) {
  const int count = static_cast<int>(plan.sources.size());
  if (!plan.shared) plan.error_fd = Above(plan, plan.error_fd, count);
  if (plan.program_fd >= 0) plan.program_fd = Above(plan, plan.program_fd, count);
  for (int i = 0; i < count; ++i) plan.staged[i] = Above(plan, plan.sources[i], count);
  for (int i = 0; i < count; ++i) {
    if (::dup2(plan.staged[i], i) < 0) Fail(plan, Step::kDescriptors);
  }
  // Close-on-exec rather than closed: the error pipe must live until exec.
  if (::syscall(SYS_close_range, count, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) != 0) {
    Fail(plan, Step::kDescriptors);
  }
}

void ResetSignals(const Plan& plan) {
  sigset_t none;
  sigemptyset(&none);
  if (plan.shared) {
    // The kernel has reset those with a handler. No program that makes cgroups ignores others.
    ::signal(SIGPIPE, SIG_DFL);
  } else {
    for (int signo = 1; signo < NSIG; ++signo) ::signal(signo, SIG_DFL);
  }
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Not the C library's functions, which would change every thread that it believes to exist here.
void BecomeUser(Plan& plan) {
  const Credentials& who = *plan.options->credentials;
  if (::syscall(SYS_setgroups, who.groups.size(), who.groups.data()) != 0 ||
      ::syscall(SYS_setresgid, who.gid, who.gid, who.gid) != 0 ||
      ::syscall(SYS_setresuid, who.uid, who.uid, who.uid) != 0) {
    Fail(plan, Step::kCredentials);
  }
}

// Called once the parent's death would be noticed.
bool ParentIsAlive(const Plan& plan) {
  if (!plan.options->own_pid_namespace) return ::getppid() == plan.parent;
  // The parent is not visible from inside the namespace. But it reads this pipe until exec, and a
  // dying process closes its descriptors before it gives up its children.
  pollfd entry{plan.error_fd, 0, 0};
  return ::poll(&entry, 1, 0) == 0;
}

// True: a byte came before the end.
bool ReadByte(int fd) {
  char byte = 0;
  ssize_t n;
  do {
    n = ::read(fd, &byte, 1);
  } while (n < 0 && errno == EINTR);
  return n == 1;
}

// Programs look up others by pid: bubblewrap, its own child.
void MountProc(Plan& plan) {
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", kFlags, nullptr) != 0) {
    Fail(plan, Step::kProc);
  }
}

void AwaitUsers(const Plan& plan) {
  ::close(plan.users_parent_fd);
  // Of a process that has changed its user, /proc belongs to root.
  ::prctl(PR_SET_DUMPABLE, 1);
  if (::write(plan.users_fd, "", 1) != 1 || !ReadByte(plan.users_fd)) ::_exit(127);
}

[[noreturn]] void RunChild(Plan& plan) {
  const SpawnOptions& options = *plan.options;
  ResetSignals(plan);
  if (plan.error_read_fd >= 0) ::close(plan.error_read_fd);
  if (plan.users_fd >= 0) AwaitUsers(plan);
  if (options.new_session ? ::setsid() < 0 : ::setpgid(0, 0) != 0) Fail(plan, Step::kSession);
  plan.niceness.Set();
  ArrangeDescriptors(plan);
  for (const auto& [resource, limit] : options.limits) {
    if (::setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
      Fail(plan, Step::kLimits);
  }
  if (options.own_pid_namespace) MountProc(plan);
  if (!options.cwd.empty() && ::chdir(options.cwd.c_str()) != 0) Fail(plan, Step::kDirectory);
  if (options.credentials) BecomeUser(plan);
  if (options.die_with_parent) {
    // After the change of user, which clears it. The parent may have died before it was set.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) Fail(plan, Step::kParent);
    if (!ParentIsAlive(plan)) ::_exit(127);
  }
  if (!options.filter.empty() && !SetSeccompFilter(options.filter, FilteredThreads::kThisOne)) {
    Fail(plan, Step::kFilter);
  }
  if (plan.program_fd >= 0) {
    ::syscall(SYS_execveat, plan.program_fd, "", plan.argv.data(), plan.env.data(), AT_EMPTY_PATH);
    Fail(plan, Step::kExec);
  }
  ::execve(plan.program, plan.argv.data(), plan.env.data());
  if (errno == ENOEXEC) {
    // A script without an interpreter line: the shell's, as execvp(3) and every shell have it.
    ::execve("/bin/sh", plan.script_argv.data(), plan.env.data());
    errno = ENOEXEC;
  }
  Fail(plan, Step::kExec);
}

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// execvpe(3) would consult the caller's PATH, not that of the new environment.
Result<std::string> LookUp(const std::string& name, const std::vector<std::string>& env) {
  if (name.find('/') != std::string::npos) return name;
  if (name.empty()) return ErrnoError(ENOENT, "run", name);
  std::string_view path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (const std::string& entry : env) {
    if (entry.starts_with("PATH=")) path = std::string_view(entry).substr(5);
  }
  int number = ENOENT;
  for (const std::string_view directory : Split(path, ':')) {
    std::string candidate = fmt::format("{}/{}", directory.empty() ? "." : directory, name);
    struct stat info {};
    if (::stat(candidate.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    if (errno == EACCES) number = EACCES;
  }
  return ErrnoError(number, "run", name);
}

Result<UniqueFd> OpenPidfd(pid_t pid) {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return ErrnoError(errno, "pidfd_open");
  return UniqueFd(static_cast<int>(fd));
}

Status WriteOnce(const std::string& file, std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(file, O_WRONLY));
  return WriteAll(fd.get(), text);
}

// Maps every user that the child is or may become to the same one inside.
Status MapUsers(pid_t child, const std::optional<Credentials>& credentials) {
  std::set<uid_t> users = {::geteuid()};
  std::set<gid_t> groups = {::getegid()};
  if (credentials) {
    users.insert(credentials->uid);
    groups.insert(credentials->gid);
    groups.insert(credentials->groups.begin(), credentials->groups.end());
  }
  const auto lines = [](const auto& ids) {
    std::string text;
    for (const auto id : ids) text += fmt::format("{0} {0} 1\n", id);
    return text;
  };
  const std::string process = fmt::format("/proc/{}/", child);
  // The kernel's condition for those who may not change their groups anyway (user_namespaces(7)).
  if (!credentials) PYRO_RETURN_IF_ERROR(WriteOnce(process + "setgroups", "deny"));
  PYRO_RETURN_IF_ERROR(WriteOnce(process + "uid_map", lines(users)));
  return WriteOnce(process + "gid_map", lines(groups));
}

// clone(2) in the way of fork(2). The C library does not know of it.
pid_t ForkInto(int namespaces) {
  return static_cast<pid_t>(::syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0));
}

extern "C" void RunSharedChild(void* plan) { RunChild(*static_cast<Plan*>(plan)); }

// clone3(2) in the way of vfork(2): copying the page tables, and setting each signal by a call of
// its own, take longer than all else where calls are slow, as in a guest. The child has a stack of
// its own, and none of the compiler's code runs in it on the caller's.
pid_t StartInCgroup(Plan& plan, int& pidfd) {
  alignas(16) char stack[8192];
  plan.shared = true;
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<std::uintptr_t>(stack);
  arguments.stack_size = sizeof stack;
  arguments.cgroup = static_cast<std::uint64_t>(plan.options->cgroup_fd);
  long result = SYS_clone3;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov %[plan], %%rdi\n\t"
      "call *%[run]\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&arguments), "S"(sizeof arguments), [plan] "r"(&plan), [run] "r"(&RunSharedChild)
      : "rcx", "r11", "memory", "cc");
  if (result >= 0) return static_cast<pid_t>(result);
  errno = static_cast<int>(-result);
  return -1;
}

Error ForkError(int number) {
  Error error = ErrnoError(number, "fork");
  if (number == EAGAIN) error.hint = kProcessesHint;
  return error;
}

ExitStatus FromWaitStatus(int status) {
  if (WIFSIGNALED(status)) return {true, WTERMSIG(status)};
  return {false, WEXITSTATUS(status)};
}

// The kernel keeps no exit status for a process that ignores SIGCHLD. PrepareProgram() sees to
// that; the program around the library may have changed it since.
Status CheckChildrenAreKept() {
  struct sigaction child {};
  if (::sigaction(SIGCHLD, nullptr, &child) != 0) return ErrnoError(errno, "sigaction");
  const bool ignored = (child.sa_flags & SA_SIGINFO) == 0 && child.sa_handler == SIG_IGN;
  if (!ignored && (child.sa_flags & SA_NOCLDWAIT) == 0) return OkStatus();
  return MakeError(ErrorCode::kWrongState,
                   "this process ignores SIGCHLD, so it cannot learn how its children end",
                   "give the signal its default before the call; in Python: "
                   "signal.signal(signal.SIGCHLD, signal.SIG_DFL)");
}

}  // namespace

Result<ChildProcess> ChildProcess::Spawn(SpawnOptions options) {
  PYRO_CHECK(!options.argv.empty());
  PYRO_RETURN_IF_ERROR(CheckChildrenAreKept());
  UniqueFd null_fd;
  if (!options.stdin_fd.valid() || !options.stdout_fd.valid() || !options.stderr_fd.valid()) {
    PYRO_ASSIGN_OR_RETURN(null_fd, OpenFile("/dev/null", O_RDWR));
  }
  SocketPair users;
  if (options.own_pid_namespace) {
    PYRO_ASSIGN_OR_RETURN(users, MakeSocketPair());
  }
  std::string program = options.argv[0];
  if (options.search_path) {
    PYRO_ASSIGN_OR_RETURN(program, LookUp(program, options.env));
  }
  char shell_name[] = "sh";

  Plan plan;
  plan.program = program.c_str();
  plan.argv = Pointers(options.argv);
  plan.script_argv = plan.argv;
  plan.script_argv[0] = const_cast<char*>(program.c_str());
  plan.script_argv.insert(plan.script_argv.begin(), shell_name);
  plan.env = Pointers(options.env);
  plan.options = &options;
  plan.niceness = Niceness(options.niceness);
  plan.program_fd = options.program_fd;
  plan.parent = ::getpid();
  for (const UniqueFd* fd : {&options.stdin_fd, &options.stdout_fd, &options.stderr_fd}) {
    plan.sources.push_back(fd->valid() ? fd->get() : null_fd.get());
  }
  for (const UniqueFd& fd : options.pass) plan.sources.push_back(fd.get());
  plan.staged.resize(plan.sources.size());
  if (options.cgroup_fd >= 0) {
    PYRO_CHECK(!options.own_pid_namespace);
    int pidfd = -1;
    const pid_t pid = StartInCgroup(plan, pidfd);
    if (pid < 0) return ForkError(errno);
    ChildProcess child(pid, UniqueFd(pidfd));
    if (plan.failure) return StepError(*plan.failure, program);
    return child;
  }
  PYRO_ASSIGN_OR_RETURN(Pipe error_pipe, MakePipe());
  plan.error_fd = error_pipe.write.get();
  plan.error_read_fd = error_pipe.read.get();

  constexpr int kNamespaces = CLONE_NEWPID | CLONE_NEWNS;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // No handler of ours may run in the child.
  pid_t pid = options.own_pid_namespace ? ForkInto(kNamespaces) : ::fork();
  if (options.own_pid_namespace && pid < 0 && errno == EPERM) {
    plan.users_parent_fd = users.first.get();
    plan.users_fd = users.second.get();
    pid = ForkInto(kNamespaces | CLONE_NEWUSER);
  }
  if (pid == 0) RunChild(plan);
  const int fork_errno = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0 && options.own_pid_namespace) {
    Error error = ErrnoError(fork_errno, "make a namespace for", program);
    error.code = ErrorCode::kUnavailable;
    if (fork_errno == EAGAIN) error.hint = kProcessesHint;
    return error;
  }
  if (pid < 0) return ForkError(fork_errno);

  auto pidfd = OpenPidfd(pid);
  if (!pidfd) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return std::move(pidfd).error();
  }
  ChildProcess child(pid, std::move(*pidfd));
  users.second.Reset();
  if (plan.users_fd >= 0 && ReadByte(users.first.get())) {
    PYRO_RETURN_IF_ERROR(MapUsers(pid, options.credentials));
    if (::send(users.first.get(), "", 1, MSG_NOSIGNAL) != 1)
      return ErrnoError(errno, "start", program);
  }
  // Our copy of the write end must go, or end of file would never come.
  error_pipe.write.Reset();
  Failure failure{};
  ssize_t n;
  do {
    n = ::read(error_pipe.read.get(), &failure, sizeof failure);
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof failure)) return StepError(failure, program);
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      status_(other.status_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    KillAndReap();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
    status_ = other.status_;
  }
  return *this;
}

ChildProcess::~ChildProcess() { KillAndReap(); }

void ChildProcess::KillAndReap() {
  if (pid_ < 0 || status_) return;
  ::kill(-pid_, SIGKILL);
  (void)SignalProcess(pidfd_.get(), SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

Status ChildProcess::Signal(int signo) {
  if (pid_ < 0 || status_) return OkStatus();
  return SignalProcess(pidfd_.get(), signo);
}

Status ChildProcess::SignalGroup(int signo) {
  if (pid_ < 0 || status_) return OkStatus();
  if (::kill(-pid_, signo) != 0 && errno != ESRCH) return ErrnoError(errno, "signal");
  return OkStatus();
}

Result<ExitStatus> ChildProcess::Wait(Deadline deadline) {
  if (status_) return *status_;
  PYRO_CHECK(pid_ > 0);
  while (true) {
    int status = 0;
    const pid_t reaped = ::waitpid(pid_, &status, WNOHANG);
    if (reaped == pid_) {
      status_ = FromWaitStatus(status);
      return *status_;
    }
    if (reaped < 0 && errno != EINTR) return ErrnoError(errno, "wait");
    if (deadline.Expired()) return ErrnoError(ETIMEDOUT, "wait");
    (void)WaitFor(pidfd_.get(), POLLIN, deadline);
  }
}

void ChildProcess::Detach() && { pid_ = -1; }

}  // namespace pyro::sys
