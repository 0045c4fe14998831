#include "agent/command.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <map>
#include <utility>

#include "agent/file_program.h"
#include "base/json.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/wait_for.h"

namespace pyro::agent {
namespace {

// Four frames of output: fewer turns of writer and reader than with the kernel's 64 KiB.
constexpr int kPipeBytes = 256 * 1024;

// A shell ends at once after it has started a process in the background, which may redirect its
// output only then. A command that leaves its output open ends that much later.
constexpr std::chrono::milliseconds kSettle{100};

// For the processes of a command that was killed to be gone, and between two looks.
constexpr std::chrono::seconds kEmptied{2};
constexpr int kEmptyLookMs = 10;

// Once bytes flow: most commands read nothing and write little.
void Enlarge(const sys::UniqueFd& pipe, bool& large) {
  if (!std::exchange(large, true)) (void)::fcntl(pipe.get(), F_SETPIPE_SZ, kPipeBytes);
}

// An error of the guest, not of the program to run: without an errno.
Error NotTried(Error error) {
  error.sys_errno = 0;
  return error;
}

// Where exec looked for the program, in its order.
std::vector<std::string> Candidates(const std::string& program, std::string_view path,
                                    const std::string& cwd) {
  const auto from = [&cwd](std::string_view name) {
    return name.starts_with('/') ? std::string(name) : cwd + "/" + std::string(name);
  };
  if (program.find('/') != std::string::npos) return {from(program)};
  std::vector<std::string> found;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    found.push_back(from(std::string(path.substr(begin, end - begin)) + "/" + program));
    begin = end + 1;
  }
  return found;
}

// exec(2) has one errno for several reasons. ELIBACC: the program is there, and what ENOENT misses
// is its interpreter or loader. EISDIR: what may not be executed is a directory.
int PreciseErrno(int number, const std::vector<std::string>& candidates) {
  for (const std::string& file : candidates) {
    struct stat info {};
    if (::stat(file.c_str(), &info) != 0) continue;
    if (number == ENOENT && S_ISREG(info.st_mode)) return ELIBACC;
    if (number == EACCES && S_ISREG(info.st_mode)) return EACCES;
    if (number == EACCES && S_ISDIR(info.st_mode)) return EISDIR;
  }
  return number;
}

// 0, or why no command can run in this directory.
int WhyNoDirectory(const std::string& cwd) {
  struct stat info {};
  if (::stat(cwd.c_str(), &info) != 0) return errno == ENOTDIR ? kCwdNotDirectory : kNoDirectory;
  return S_ISDIR(info.st_mode) ? 0 : kCwdNotDirectory;
}

// The missing directories of the path. The last is the user's, as other programs for containers
// have it. A failure shows when the command starts.
void MakeDirectories(const std::string& path, const std::optional<User>& user) {
  bool made = false;
  for (std::size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    made = ::mkdir(path.substr(0, end).c_str(), 0755) == 0;
  }
  if (made && user) (void)::lchown(path.c_str(), user->ids.uid, user->ids.gid);
}

std::string_view PathIn(const std::vector<std::string>& env) {
  for (const std::string& variable : env) {
    if (variable.starts_with("PATH=")) return std::string_view(variable).substr(5);
  }
  return {};
}

// An operation on files is the agent's own program, which gets its request on a descriptor.
Status ReadyFileProgram(const wire::FileRequest& request, const Command::Place& place, bool root,
                        sys::SpawnOptions& options) {
  if (place.file_program < 0)
    return MakeError(ErrorCode::kUnavailable, "this agent carries out no operation");
  auto passed = sys::MakeMemoryFile(ToCbor(request.ToJson()));
  if (!passed) return NotTried(std::move(passed).error());
  options.argv = {kFileProgram, std::string(wire::Name(request.operation)), request.path};
  options.program_fd = place.file_program;
  options.pass.push_back(std::move(*passed));
  // For root alone: the agent acts by the notes of a patch.
  const bool uses_disk = request.operation == wire::FileOperation::kPatch || request.layer;
  if (root && uses_disk && place.data_disk >= 0) {
    options.pass.emplace_back(::fcntl(place.data_disk, F_DUPFD_CLOEXEC, 0));
  }
  return OkStatus();
}

// True while some process can still write to the pipe.
bool HasWriter(const sys::UniqueFd& fd) { return !sys::IsReady(fd.get(), 0); }

}  // namespace

std::string_view ImageShell() {
  for (const std::string_view shell : wire::kShells) {
    if (::access(std::string(shell).c_str(), X_OK) == 0) return shell;
  }
  return wire::kShells.back();
}

std::vector<std::string> CommandEnvironment(const wire::Exec& exec, const std::optional<User>& user,
                                            const std::map<std::string, std::string>& of_guest) {
  std::map<std::string, std::string> variables = {
      {"HOME", "/root"},
      {"LANG", "C.UTF-8"},
      {"LOGNAME", "root"},
      {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
      {"SHELL", std::string(ImageShell())},
      {"TERM", "dumb"},
      {"USER", "root"},
  };
  if (user) {
    variables["HOME"] = user->home;
    variables["LOGNAME"] = variables["USER"] = user->name;
    if (!user->shell.empty()) variables["SHELL"] = user->shell;
  }
  // The workspace is root's, and git refuses repositories of other users. All users of a guest are
  // the caller's own.
  if (user && user->ids.uid != 0 && !exec.env.contains("GIT_CONFIG_COUNT")) {
    variables["GIT_CONFIG_COUNT"] = "1";
    variables["GIT_CONFIG_KEY_0"] = "safe.directory";
    variables["GIT_CONFIG_VALUE_0"] = "*";
  }
  for (const auto& [name, value] : of_guest) variables[name] = value;
  for (const auto& [name, value] : exec.env) variables[name] = value;
  std::vector<std::string> env;
  env.reserve(variables.size());
  for (const auto& [name, value] : variables) env.push_back(name + "=" + value);
  return env;
}

Result<std::unique_ptr<Command>> Command::Start(std::uint32_t channel, const wire::Exec& exec,
                                                const Place& place) {
  std::optional<User> user;
  if (!exec.user.empty()) {
    auto found = FindUser(exec.user);
    if (!found) return std::move(found).error();
    user = std::move(*found);
  }
  if (exec.make_cwd) MakeDirectories(exec.cwd, user);
  if (const int number = WhyNoDirectory(exec.cwd); number != 0) {
    return NoStart(number, "no such working directory");
  }
  auto in = sys::MakePipe();
  auto out = sys::MakePipe();
  auto err = sys::MakePipe();
  for (const auto* pipe : {&in, &out, &err}) {
    if (!pipe->ok()) return NotTried(pipe->error());
  }
  for (const int fd : {in->write.get(), out->read.get(), err->read.get()}) {
    if (const Status status = sys::SetNonBlocking(fd); !status) return NotTried(status.error());
  }
  // What it opens by a name such as /dev/stdout is the pipe itself, with its owner.
  for (const int fd : {in->read.get(), out->write.get(), err->write.get()}) {
    if (user && ::fchown(fd, user->ids.uid, static_cast<gid_t>(-1)) != 0) {
      return NotTried(sys::ErrnoError(errno, "chown", "a pipe"));
    }
  }
  auto tree = place.trees.Create(exec.sequence);
  if (!tree) return NotTried(tree.error());

  sys::SpawnOptions options;
  options.argv = exec.argv;
  if (exec.file) PYRO_RETURN_IF_ERROR(ReadyFileProgram(*exec.file, place, !user, options));
  options.env = CommandEnvironment(exec, user, place.variables);
  options.stdin_fd = std::move(in->read);
  options.stdout_fd = std::move(out->write);
  options.stderr_fd = std::move(err->write);
  options.cwd = exec.cwd;
  if (user) options.credentials = std::move(user->ids);
  const std::vector<std::string> candidates =
      exec.file ? std::vector<std::string>()
                : Candidates(exec.argv[0], PathIn(options.env), exec.cwd);
  options.search_path = !exec.file;
  options.die_with_parent = false;
  options.limits = place.limits;
  options.cgroup_fd = (*tree)->cgroup_fd();
  // Before its process is there: a busy host must not make a command shorter than its own sleep.
  const SteadyTime started = std::chrono::steady_clock::now();
  auto child = sys::ChildProcess::Spawn(std::move(options));
  if (!child) {
    (void)(*tree)->TryRemove();
    Error error = std::move(child).error();
    error.sys_errno = PreciseErrno(error.sys_errno, candidates);
    return error;
  }
  std::unique_ptr<Command> command(new Command(channel, std::move(*child), std::move(*tree)));
  command->sequence_ = exec.sequence;
  if (exec.sync) command->sync_ = &place.sync;
  command->started_ = started;
  command->input_ = std::move(in->write);
  command->outputs_[0].fd = std::move(out->read);
  command->outputs_[1].fd = std::move(err->read);
  return command;
}

void Command::AddPolls(const Session& session, std::vector<pollfd>& polls) {
  const auto add = [&polls](const sys::UniqueFd& fd, short events) {
    polls.push_back({fd.get(), events, 0});
    return static_cast<int>(polls.size()) - 1;
  };
  input_poll_ = -1;
  if (input_.valid()) {
    // Also without events: the poll reports when no process can read any more.
    const bool work = !session.Input(channel_).empty() || session.InputEnded(channel_);
    input_poll_ = add(input_, work ? POLLOUT : 0);
  }
  for (Output& output : outputs_) {
    const bool wanted = output.fd.valid() && !output.ended;
    const bool room = wanted && session.HasRoom(channel_, output.stream);
    output.poll = room ? add(output.fd, POLLIN) : -1;
    // Wakes when the last writer has gone. A descriptor without one would wake for ever.
    if (settling_ && !room && output.fd.valid() && HasWriter(output.fd)) add(output.fd, 0);
  }
}

void Command::Serve(Session& session, const std::vector<pollfd>& polls) {
  if (over_) return;
  const auto ready = [&polls](int index) { return index >= 0 && polls[index].revents != 0; };
  if (ready(input_poll_)) WriteInput(session, polls[input_poll_].revents);
  for (Output& output : outputs_) {
    // After the exit without a poll: the bytes of that moment are still in the pipe.
    if (!output.ended && (ready(output.poll) || status_)) ReadOutput(session, output);
  }
  FinishIfDone(session);
}

void Command::WriteInput(Session& session, short revents) {
  if (!input_.valid()) return;
  bool refused = (revents & POLLERR) != 0;  // No process can read it any more.
  while (!refused && !session.Input(channel_).empty()) {
    Enlarge(input_, large_input_);
    const std::string_view bytes = session.Input(channel_);
    const ssize_t n = ::write(input_.get(), bytes.data(), bytes.size());
    if (n > 0) {
      session.InputTaken(channel_, static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      refused = true;
    }
  }
  if (refused) session.InputRefused(channel_);
  if (refused || session.InputEnded(channel_)) input_.Reset();
}

void Command::ReadOutput(Session& session, Output& output) {
  const Session::Room room = session.OutputRoom(channel_, output.stream);
  if (room.data == nullptr) return;
  const std::size_t want = status_ ? std::min(room.bytes, output.left) : room.bytes;
  const ssize_t n = ::read(output.fd.get(), room.data, want);
  if (n > 0) {
    session.OutputRead(channel_, output.stream, static_cast<std::size_t>(n));
    if (!status_) return Enlarge(output.fd, output.large);
    output.left -= static_cast<std::size_t>(n);
    if (output.left == 0) EndOutput(session, output);
  } else if (n == 0 || status_ || (errno != EAGAIN && errno != EINTR)) {
    output.fd.Reset();
    EndOutput(session, output);
  }
}

void Command::EndOutput(Session& session, Output& output) {
  output.ended = true;
  session.OutputEnded(channel_, output.stream);
}

void Command::OnExit(Session& session, SteadyTime now) {
  if (status_) return;
  const auto status = child_.Wait(Deadline::After(std::chrono::milliseconds(0)));
  if (!status) return;
  status_ = *status;
  duration_us_ = std::max<std::int64_t>(
      0, std::chrono::duration_cast<std::chrono::microseconds>(now - started_).count());
  if (sync_ != nullptr) sync_request_ = sync_->Request();
  input_.Reset();
  session.InputRefused(channel_);
  for (Output& output : outputs_) {
    if (output.ended) continue;
    int waiting = 0;
    if (::ioctl(output.fd.get(), FIONREAD, &waiting) == 0 && waiting > 0) {
      output.left = static_cast<std::size_t>(waiting);
    } else {
      EndOutput(session, output);
    }
  }
  settling_ = LeftOpen();
  settled_at_ = Deadline::After(kSettle);
}

bool Command::LeftOpen() const {
  return std::any_of(outputs_.begin(), outputs_.end(), [](const Output& output) {
    return output.fd.valid() && HasWriter(output.fd);
  });
}

bool Command::Kill() {
  if (status_) return false;
  killed_.emplace();
  tree_->List(*killed_);
  if (killed_->count == 0) killed_ = {.processes = {{child_.pid(), ""}}, .count = 1};
  emptied_at_ = Deadline::After(kEmptied);
  tree_->Kill();
  // If a process has left its cgroup, at least the command itself must end.
  (void)child_.SignalGroup(SIGKILL);
  (void)child_.Signal(SIGKILL);
  return true;
}

int Command::PollTimeout() const {
  if (settling_) return settled_at_.PollTimeout();
  return status_ && killed_ && !over_ && !emptied_at_.Expired() ? kEmptyLookMs : -1;
}

void Command::FinishIfDone(Session& session) {
  if (settling_) {
    output_left_open_ = LeftOpen();
    settling_ = output_left_open_ && !settled_at_.Expired();
  }
  if (over_ || !status_ || settling_ || !outputs_[0].ended || !outputs_[1].ended) return;
  if (sync_ != nullptr && !sync_->Done(sync_request_)) return;
  if (killed_) {
    killed_->gone = tree_->Empty();
    if (!killed_->gone && !emptied_at_.Expired()) return;
  }
  over_ = true;
  session.Ended(channel_, *status_, duration_us_, output_left_open_, killed_,
                sync_ != nullptr && sync_->failed());
}

std::vector<sys::UniqueFd> Command::TakePipes() {
  std::vector<sys::UniqueFd> pipes;
  for (Output& output : outputs_) {
    if (output.fd.valid()) pipes.push_back(std::move(output.fd));
  }
  return pipes;
}

}  // namespace pyro::agent
