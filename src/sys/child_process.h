// A child process that cannot outlive its owner by accident.
//
// Every program that pyro executes (QEMU, bwrap, mmdebstrap, a command in the guest) starts here,
// so that inherited descriptors, signal masks and reaping are decided once. No other code in a
// program may reap with waitpid(-1): a reaped pid can already name another process. (The guest's
// PID 1 peeks with WNOWAIT and reaps only processes that are not a ChildProcess.)

#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

// A user other than the caller, for a caller with the right to become it.
struct Credentials {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};  // Supplementary; all others are dropped.
};

struct SpawnOptions {
  std::vector<std::string> argv;  // argv[0] is the program.
  std::vector<std::string> env;   // NAME=value; the whole environment, none is inherited.
  UniqueFd stdin_fd;              // /dev/null if not valid; the same for the next two.
  UniqueFd stdout_fd;
  UniqueFd stderr_fd;
  std::vector<UniqueFd> pass;  // Become 3, 4, … in the child; every other descriptor is closed.
  std::string cwd;             // Empty: the caller's.
  // Borrowed: an open program that runs instead of argv[0], which is then only its name.
  int program_fd = -1;
  bool search_path = false;     // Look argv[0] up in the PATH of `env`, as execvpe(3) does.
  bool die_with_parent = true;  // SIGKILL when the spawning thread dies.
  // The child is PID 1 of a PID namespace. When it ends, so does every process below it, even one
  // that has detached, and only then does the child show as ended. Its /proc is that of the
  // namespace. If the caller may not make all this, the child is also in a user namespace, where it
  // is the same user.
  bool own_pid_namespace = false;
  bool new_session = true;  // Own session and process group; otherwise only an own process group.
  // From 0, as others, to 19: how much its processes stand back for others. Where the kernel shares
  // the processors between sessions, it holds for the session, too. Only with new_session.
  int niceness = 0;
  std::optional<Credentials> credentials;
  std::vector<std::pair<int, rlimit>> limits;  // RLIMIT_… to both values.
  // Borrowed: a seccomp filter, as the kernel takes it, that holds for the program from its start.
  // It then gains no privilege by another program. Empty: none.
  std::span<const char> filter;
  // Borrowed, open on the directory of a cgroup (version 2), in which the child begins. Until it
  // execs it shares the caller's memory: not together with own_pid_namespace.
  int cgroup_fd = -1;
};

// How a process ended, as wait(2) says.
struct ExitStatus {
  bool signalled = false;
  int code = 0;  // Exit code, or the signal's number.

  bool success() const { return !signalled && code == 0; }
};

// Not thread-safe: belongs to one event loop.
class ChildProcess {
 public:
  // Returns once exec has succeeded. The error carries the errno of the step that failed:
  // kNotFound: no such program or directory; kPermissionDenied: not executable; kUnavailable: the
  // system is out of processes or memory, or this user may make no namespace.
  static Result<ChildProcess> Spawn(SpawnOptions options);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();  // SIGKILL to its process group and reap, unless it was reaped or detached.

  // Readable once the child has exited. Borrowed: valid while this object lives.
  int exit_fd() const { return pidfd_.get(); }
  pid_t pid() const { return pid_; }

  // Goes through the pidfd, so it never reaches a recycled pid. A child that is gone is no error.
  Status Signal(int signo);

  // To the child's whole process group, while the child is not reaped (until then the group's
  // number is its own).
  Status SignalGroup(int signo);

  // kTimedOut: still running, try again. After the first success, repeats the same answer.
  Result<ExitStatus> Wait(Deadline deadline);

  // Gives the process up; only init reaps it then.
  void Detach() &&;

 private:
  ChildProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  void KillAndReap();

  pid_t pid_ = -1;  // -1 once detached or moved from.
  UniqueFd pidfd_;
  std::optional<ExitStatus> status_;
};

// Spawn, with `input` as the whole content of the child's stdin. It is shorter than a pipe's buffer
// (64 KiB), so that no process waits until it is read. A child that dies before it has read is no
// error.
Result<ChildProcess> SpawnWithInput(SpawnOptions options, std::string_view input);

struct CommandOutput {
  ExitStatus status;
  std::string stdout_text;
  std::string stderr_text;
};

// Runs a tool to its end and collects what it prints: at most `max_bytes` of stdout, and 1 MiB of
// stderr; the rest is read and dropped. kTimedOut, kCancelled (`cancel_fd` became readable; -1:
// never): it was killed. `options.stdout_fd` and `stderr_fd` must be empty.
Result<CommandOutput> RunCommand(SpawnOptions options, Deadline deadline,
                                 std::size_t max_bytes = 1 << 20, int cancel_fd = -1);

// The first executable of that name in $PATH and then in the usual system directories (/usr/sbin
// among them, which users' paths lack). kMissingTool otherwise, with `hint`.
Result<std::filesystem::path> FindProgram(const std::string& name, const std::string& hint);

}  // namespace pyro::sys
