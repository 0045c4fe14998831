#include "engine/host_compat.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/capture.h"
#include "engine/context.h"
#include "engine/exec_result.h"
#include "engine/host_program.h"
#include "engine/reaper.h"
#include "engine/requests.h"
#include "engine/vm_files.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/process_state.h"
#include "vmm/jail.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

// Other users' files, sockets of daemons, and shared directories.
constexpr std::array<std::string_view, 5> kHidden = {"home", "root", "run", "tmp", "workspace"};
constexpr std::array<std::string_view, 2> kOwn = {"dev", "proc"};

// Unprivileged, from a range that no system assigns by itself; the jail of the VMM uses the same
// range.
constexpr uid_t kHostUser = 65519;

constexpr std::size_t kPipeBytes =
    65536;  // Read at once; on the heap, for callers of small stacks.

// The host's root, entry by entry: /workspace need not exist there, and a read-only root could not
// be given it.
void BindRoot(std::vector<std::string>& argv) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/", error)) {
    const std::string name = entry.path().filename();
    const auto named = [&name](std::string_view other) { return name == other; };
    if (std::any_of(kHidden.begin(), kHidden.end(), named) ||
        std::any_of(kOwn.begin(), kOwn.end(), named)) {
      continue;
    }
    const std::string path = "/" + name;
    if (entry.is_symlink(error)) {
      argv.insert(argv.end(), {"--symlink", fs::read_symlink(entry.path(), error).native(), path});
    } else if (entry.is_directory(error)) {
      argv.insert(argv.end(), {"--ro-bind", path, path});
    }
  }
  for (const char* path : {"/home", "/root", "/run", "/tmp", "/var/tmp"})
    argv.insert(argv.end(), {"--tmpfs", path});
}

Result<sys::SpawnOptions> Jail(const fs::path& workspace, const VmOptions& options,
                               const wire::Exec& exec) {
  PYRO_ASSIGN_OR_RETURN(const fs::path bwrap,
                        sys::FindProgram("bwrap", "sudo apt-get install bubblewrap"));
  PYRO_RETURN_IF_ERROR(vmm::CheckJailUser());
  const bool root = sys::IsFullRoot();
  sys::SpawnOptions spawn;
  spawn.argv = {bwrap.native(),  "--unshare-ipc",        "--unshare-pid",
                "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent",
                "--new-session", "--clearenv",           "--cap-drop",
                "ALL",           "--hostname",           "pyro-host"};
  if (!options.network) spawn.argv.emplace_back("--unshare-net");
  if (root) {
    // To become another user inside, which drops these too.
    spawn.argv.insert(spawn.argv.end(), {"--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"});
  } else {
    spawn.argv.emplace_back("--unshare-user");
  }
  BindRoot(spawn.argv);
  spawn.argv.insert(spawn.argv.end(),
                    {"--dev", "/dev", "--proc", "/proc", "--bind", workspace.native(), kWorkspace,
                     "--remount-ro", "/", "--chdir", "/"});
  std::map<std::string, std::string> env = {
      {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
      {"HOME", "/root"},
      {"LANG", "C.UTF-8"},
      {"TERM", "dumb"}};
  for (const auto& [name, value] : exec.env) env[name] = value;
  for (const auto& [name, value] : env)
    spawn.argv.insert(spawn.argv.end(), {"--setenv", name, value});
  spawn.argv.emplace_back("--");
  if (root) {
    // Root's command would read all files that root may read: instead it runs as an unused user,
    // who owns the workspace.
    if (::chown(workspace.c_str(), kHostUser, kHostUser) != 0) {
      return sys::ErrnoError(errno, "chown", workspace.native());
    }
    const std::string user = std::to_string(kHostUser);
    spawn.argv.insert(spawn.argv.end(),
                      {"/usr/bin/setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups",
                       "--no-new-privs", "--inh-caps=-all", "--"});
  }
  // Through a shell's exec, whose exit code distinguishes "not found" from "not executable"; that
  // of bwrap does not. It also enters the workspace as its owner, which root without capabilities
  // cannot.
  spawn.argv.insert(spawn.argv.end(), {"/bin/sh", "-c", "cd -- \"$0\" && exec \"$@\"", exec.cwd});
  spawn.argv.insert(spawn.argv.end(), exec.argv.begin(), exec.argv.end());
  spawn.cwd = "/";
  spawn.own_pid_namespace = true;
  return spawn;
}

// The same behaviour as the relay of a guest's command, over plain pipes.
class HostRelay {
 public:
  HostRelay(sys::ChildProcess& child, sys::UniqueFd input, sys::UniqueFd out, sys::UniqueFd err,
            OutputSink& sink, const CallIo& io)
      : child_(child), input_(std::move(input)), sink_(sink), io_(io), stdin_fd_(io.stdin_fd) {
    streams_[0] = {std::move(out), OutputStream::kStdout, {}, 0};
    streams_[1] = {std::move(err), OutputStream::kStderr, {}, 0};
    if (stdin_fd_ < 0) input_.Reset();
  }

  // True when the command had to be killed at `deadline`.
  Result<bool> Run(Deadline deadline) {
    bool timed_out = false;
    while (true) {
      for (Stream& stream : streams_) PYRO_RETURN_IF_ERROR(Deliver(stream));
      const bool running = !child_.Wait(Deadline::After(std::chrono::milliseconds(0))).ok();
      if (!running) {
        PYRO_RETURN_IF_ERROR(Drain());
        return timed_out;
      }
      if (!timed_out && deadline.Expired()) {
        timed_out = true;
        (void)child_.SignalGroup(SIGKILL);
        (void)child_.Signal(SIGKILL);
      }
      PYRO_RETURN_IF_ERROR(Wait(timed_out ? Deadline::Never() : deadline));
    }
  }

  std::uint64_t bytes(int stream) const { return streams_[static_cast<std::size_t>(stream)].total; }
  SteadyTime first_output_at() const { return first_output_at_; }

 private:
  struct Stream {
    sys::UniqueFd fd;
    OutputStream stream = OutputStream::kStdout;
    std::string pending;
    std::uint64_t total = 0;
  };

  Status Wait(Deadline deadline) {
    std::array<pollfd, 8> polls = {
        {{child_.exit_fd(), POLLIN, 0},
         {io_.cancel_fd, POLLIN, 0},
         {input_.valid() && to_child_.empty() ? stdin_fd_ : -1, POLLIN, 0},
         {to_child_.empty() ? -1 : input_.get(), POLLOUT, 0},
         {ReadFd(streams_[0]), POLLIN, 0},
         {ReadFd(streams_[1]), POLLIN, 0},
         {PendingFd(streams_[0]), POLLOUT, 0},
         {PendingFd(streams_[1]), POLLOUT, 0}}};
    if (::poll(polls.data(), polls.size(), deadline.PollTimeout()) <= 0) return OkStatus();
    if (polls[1].revents != 0) return MakeError(ErrorCode::kCancelled, "cancelled");
    if (polls[2].revents != 0) ReadStdin();
    if (polls[3].revents != 0) WriteStdin();
    if (polls[4].revents != 0) Read(streams_[0]);
    if (polls[5].revents != 0) Read(streams_[1]);
    return OkStatus();
  }

  static int ReadFd(const Stream& stream) { return stream.pending.empty() ? stream.fd.get() : -1; }
  int PendingFd(const Stream& stream) {
    return stream.pending.empty() ? -1 : sink_.WritableFd(stream.stream);
  }

  void Read(Stream& stream) {
    std::vector<char> buffer(kPipeBytes);
    const ssize_t n = ::read(stream.fd.get(), buffer.data(), buffer.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) return stream.fd.Reset();
    if (first_output_at_ == SteadyTime{}) first_output_at_ = std::chrono::steady_clock::now();
    stream.total += static_cast<std::uint64_t>(n);
    stream.pending.assign(buffer.data(), static_cast<std::size_t>(n));
  }

  Status Deliver(Stream& stream) {
    while (!stream.pending.empty()) {
      const int fd = sink_.WritableFd(stream.stream);
      pollfd ready{fd, POLLOUT, 0};
      if (fd >= 0 && ::poll(&ready, 1, 0) <= 0) return OkStatus();
      auto taken = sink_.Write(stream.stream, stream.pending);
      if (!taken) return std::move(taken).error();
      stream.pending.erase(0, *taken);
    }
    return OkStatus();
  }

  // The bytes in the pipes when the command ended; no process is left to write more.
  Status Drain() {
    for (Stream& stream : streams_) {
      while (stream.fd.valid() || !stream.pending.empty()) {
        if (stream.pending.empty()) {
          Read(stream);
          continue;
        }
        PYRO_RETURN_IF_ERROR(Deliver(stream));
        if (stream.pending.empty()) continue;
        std::array<pollfd, 2> polls = {
            {{PendingFd(stream), POLLOUT, 0}, {io_.cancel_fd, POLLIN, 0}}};
        ::poll(polls.data(), polls.size(), -1);
        if (polls[1].revents != 0) return MakeError(ErrorCode::kCancelled, "cancelled");
      }
    }
    return OkStatus();
  }

  void ReadStdin() {
    std::vector<char> buffer(kPipeBytes);
    const ssize_t n = ::read(stdin_fd_, buffer.data(), buffer.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) return input_.Reset();
    to_child_.assign(buffer.data(), static_cast<std::size_t>(n));
  }

  void WriteStdin() {
    const ssize_t n = ::write(input_.get(), to_child_.data(), to_child_.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n < 0) {
      // The command closed its stdin: the rest of the input is dropped.
      to_child_.clear();
      return input_.Reset();
    }
    to_child_.erase(0, static_cast<std::size_t>(n));
  }

  sys::ChildProcess& child_;
  sys::UniqueFd input_;
  OutputSink& sink_;
  const CallIo& io_;
  int stdin_fd_;
  std::string to_child_;
  std::array<Stream, 2> streams_;
  SteadyTime first_output_at_{};
};

}  // namespace

wire::Exec ForHost(wire::Exec exec) {
  if (!exec.script) return exec;
  const auto* const shell = std::find_if(
      wire::kShells.begin(), wire::kShells.end(),
      [](std::string_view one) { return ::access(std::string(one).c_str(), X_OK) == 0; });
  if (shell != wire::kShells.end()) exec.argv[0] = *shell;
  return exec;
}

Result<ExecResult> RunInHostJail(const fs::path& workspace, const VmOptions& options,
                                 const wire::Exec& asked, const CallIo& io, CommandEnd* end) {
  const wire::Exec exec = ForHost(asked);
  const Stopwatch watch;
  PYRO_ASSIGN_OR_RETURN(sys::SpawnOptions spawn, Jail(workspace, options, exec));
  PYRO_ASSIGN_OR_RETURN(sys::Pipe input, sys::MakePipe());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe out, sys::MakePipe());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe err, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(input.write.get()));
  spawn.stdin_fd = std::move(input.read);
  spawn.stdout_fd = std::move(out.write);
  spawn.stderr_fd = std::move(err.write);
  PYRO_ASSIGN_OR_RETURN(sys::ChildProcess child, sys::ChildProcess::Spawn(std::move(spawn)));
  CaptureSink capture;
  HostRelay relay(child, std::move(input.write), std::move(out.read), std::move(err.read),
                  io.sink != nullptr ? *io.sink : capture, io);
  PYRO_ASSIGN_OR_RETURN(const bool timed_out,
                        relay.Run(Deadline::After(std::chrono::milliseconds(exec.timeout_ms))));
  PYRO_ASSIGN_OR_RETURN(const sys::ExitStatus status, child.Wait(Deadline::Never()));

  CommandEnd ended;
  ended.duration_us = watch.Now() * 1000;
  ended.stdout_bytes = relay.bytes(0);
  ended.stderr_bytes = relay.bytes(1);
  if (timed_out) {
    ended.outcome = Outcome::kTimedOut;
  } else {
    // bwrap reports a signalled command as 128 + n, as a shell does.
    ended.outcome = status.signalled ? Outcome::kSignalled : Outcome::kExited;
    ended.code = status.code;
    // What the jail's shell reports of a program that it could not start.
    const bool perhaps = !status.signalled && (status.code == 126 || status.code == 127);
    if (const int number = perhaps ? WhyNotStarted(workspace, exec) : 0; number != 0) {
      ended.outcome = Outcome::kNotStarted;
      ended.code = number;
    }
  }
  if (end != nullptr) *end = ended;
  ExecResult result = MakeExecResult(exec, ended, options.environment, "", InTask::kNo);
  result.execution_mode = ExecutionMode::kHostCompat;
  result.kernel = sys::KernelRelease();
  result.timings.first_output_ms = watch.At(relay.first_output_at());
  result.timings.ended_ms = watch.Now();
  if (io.sink == nullptr) capture.Fill(result);
  return result;
}

Result<ExecResult> RunOnHost(const Context& context, const VmOptions& options,
                             const wire::Exec& exec, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(registry::Registry registry, OpenRegistry(context));
  (void)Reap(registry, context);
  registry::InstanceSpec spec = MakeVmSpec(options, "", registry::InstanceOwner::kRun);
  PYRO_ASSIGN_OR_RETURN(const NewVm vm,
                        CreateVmOnDisk(registry, context, spec, VmDisk::kHostWorkspace));
  auto result = RunInHostJail(HostWorkspace(context, spec.id), options, exec, io);
  (void)RemoveVmFromDisk(registry, context, spec.id);
  return result;
}

}  // namespace pyro::engine
