#include "engine/host/host_compat.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/capture.h"
#include "engine/context.h"
#include "engine/exec_result.h"
#include "engine/host/host_program.h"
#include "engine/instance/instance_files.h"
#include "engine/requests.h"
#include "engine/session/host_command.h"
#include "jail/jail.h"
#include "state/instance/instance_directory.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/process_state.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

// Other users' files, sockets of daemons, and shared directories.
constexpr std::array<std::string_view, 5> kHidden = {"home", "root", "run", "tmp", "workspace"};
constexpr std::array<std::string_view, 2> kOwn = {"dev", "proc"};

// Unprivileged, from a range that no system assigns by itself; the jail of the VMM uses the same
// range.
constexpr uid_t kHostUser = 65519;

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

// A shell's script that sets them.
Result<sys::UniqueFd> VariablesFor(const std::map<std::string, std::string>& env) {
  std::string script;
  for (const auto& [name, value] : env) {
    script += "export " + name + "='";
    for (const char c : value) script += c == '\'' ? "'\\''" : std::string(1, c);
    script += "'\n";
  }
  sys::UniqueFd file(::memfd_create("variables", MFD_CLOEXEC));
  if (!file.valid()) return sys::ErrnoError(errno, "memfd_create");
  PYRO_RETURN_IF_ERROR(sys::WriteAll(file.get(), script));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return sys::ErrnoError(errno, "lseek");
  return file;
}

Result<sys::SpawnOptions> Jail(const fs::path& workspace, const VmOptions& options,
                               const wire::Exec& exec) {
  PYRO_ASSIGN_OR_RETURN(const fs::path bwrap,
                        sys::FindProgram("bwrap", "sudo apt-get install bubblewrap"));
  PYRO_RETURN_IF_ERROR(jail::CheckJailUser());
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
  // of bwrap does not. It also enters the directory as the workspace's owner, which root without
  // capabilities cannot, and takes the variables from a descriptor: as words they would be seen by
  // other users, and bwrap and setpriv must not obey them.
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd variables, VariablesFor(exec.env));
  spawn.pass.push_back(std::move(variables));
  spawn.argv.insert(spawn.argv.end(), {"/bin/sh", "-c",
                                       "cd -- \"$0\" || exit 127; . /proc/self/fd/3; exec 3<&-; "
                                       "exec \"$@\"",
                                       exec.cwd});
  spawn.argv.insert(spawn.argv.end(), exec.argv.begin(), exec.argv.end());
  spawn.cwd = "/";
  spawn.own_pid_namespace = true;
  return spawn;
}

}  // namespace

Status CheckForHost(const wire::Exec& exec) {
  if (!exec.user.empty()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "a command on the host runs as no other user than its jail's",
                     "leave user out, or run the command in a guest");
  }
  for (const auto& [name, value] : exec.env) {
    constexpr std::string_view kShellNames =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    const bool fits = name.find_first_not_of(kShellNames) == std::string::npos &&
                      (name[0] < '0' || name[0] > '9');
    if (fits) continue;
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("a command on the host takes no variable '{}'", Printable(name)),
                     "use letters, digits and _ in its name, or run the command in a guest");
  }
  return OkStatus();
}

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
  PYRO_RETURN_IF_ERROR(CheckForHost(asked));
  const wire::Exec exec = ForHost(asked);
  const Stopwatch watch;
  PYRO_ASSIGN_OR_RETURN(sys::SpawnOptions spawn, Jail(workspace, options, exec));
  PYRO_ASSIGN_OR_RETURN(
      HostCommand command,
      HostCommand::Start(std::move(spawn), std::chrono::milliseconds(exec.timeout_ms)));
  CaptureSink capture(io);
  CommandSession session(command, capture.sink(), io);
  PYRO_RETURN_IF_ERROR(session.Run());
  CommandEnd ended = command.end();
  // What the jail's shell reports of a program that it could not start.
  const bool perhaps =
      ended.outcome == Outcome::kExited && (ended.code == 126 || ended.code == 127);
  if (const int number = perhaps ? WhyNotStarted(workspace, exec) : 0; number != 0) {
    ended.outcome = Outcome::kNotStarted;
    ended.code = number;
  }
  if (end != nullptr) *end = ended;
  ExecResult result = MakeExecResult(exec, ended, options.environment, "", InTask::kNo);
  result.execution_mode = ExecutionMode::kHostCompat;
  result.kernel = sys::KernelRelease();
  result.timings.first_output_ms = watch.At(session.first_output_at());
  result.timings.ended_ms = watch.Now();
  capture.Fill(result);
  return result;
}

Result<ExecResult> RunOnHost(const Context& context, const VmOptions& options,
                             const wire::Exec& exec, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenReconciled(context, InstanceKind::kVm));
  state::InstanceSpec spec = MakeSpec(InstanceKind::kVm, options, "");
  spec.owner = state::InstanceOwner::kRun;
  PYRO_ASSIGN_OR_RETURN(const NewInstance vm,
                        CreateVmOnDisk(registry, context, spec, VmDisk::kHostWorkspace));
  auto result = RunInHostJail(state::HostWorkspace(context.state, spec.id), options, exec, io);
  (void)RemoveFromDisk(registry, context, spec.id);
  return result;
}

}  // namespace pyro::engine
