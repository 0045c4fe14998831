#include "image/root_namespace.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/files.h"
#include "sys/process_state.h"

namespace pyro::image {
namespace {

constexpr std::chrono::minutes kRemovalLimit{2};

Error NoNamespace(std::string_view said) {
  if (auto obstacle = RootNamespace::Obstacle()) return std::move(*obstacle);
  return MakeError(ErrorCode::kPermissionDenied,
                   fmt::format("this user cannot make a user namespace to build in: {}",
                               PrintableLines(said, 300)),
                   "sudo apt install uidmap && sudo usermod --add-subuids 100000-165535 "
                   "--add-subgids 100000-165535 $USER, or pull as root");
}

}  // namespace

std::optional<Error> RootNamespace::Obstacle() {
  if (sys::IsFullRoot()) return std::nullopt;
  if (::geteuid() == 0) {
    return MakeError(ErrorCode::kPermissionDenied,
                     "this user namespace has too few users to build an environment in",
                     "pull outside of it, or add users to it: unshare --user --map-root-user "
                     "--map-auto");
  }
  if (sys::CannotGainPrivileges()) {
    return MakeError(ErrorCode::kPermissionDenied,
                     "newuidmap, which building needs, gains no rights in this process: "
                     "no_new_privs is set",
                     "pull where it is not set (systemd: NoNewPrivileges=no; containers: "
                     "allowPrivilegeEscalation), or as root; guests run all the same");
  }
  return std::nullopt;
}

Result<RootNamespace> RootNamespace::Create(const ToolPaths& tools, Cancellation cancel) {
  const bool is_root = sys::IsFullRoot();
  PYRO_ASSIGN_OR_RETURN(const auto unshare, tools.Find("unshare"));
  std::vector<std::string> prefix = {unshare,  "--mount",      "--pid",
                                     "--fork", "--kill-child", "--mount-proc"};
  if (!is_root) {
    PYRO_RETURN_IF_ERROR(tools.Find("newuidmap"));
    prefix.insert(prefix.begin() + 1, {"--user", "--map-root-user", "--map-auto"});
  }
  RootNamespace made(tools, std::move(prefix));
  const auto tried = Capture(tools, made.Wrap({"unshare", "--version"}), cancel);
  if (tried) return made;
  if (tried.error().code == ErrorCode::kCancelled) return tried.error();
  if (!is_root) return NoNamespace(tried.error().message);
  return RootNamespace(tools, {});
}

std::vector<std::string> RootNamespace::Wrap(std::vector<std::string> argv) const {
  std::vector<std::string> wrapped = prefix_;
  wrapped.insert(wrapped.end(), std::make_move_iterator(argv.begin()),
                 std::make_move_iterator(argv.end()));
  return wrapped;
}

Result<ToolRun> RootNamespace::Run(std::vector<std::string> argv,
                                   const std::filesystem::path& work_dir,
                                   const std::vector<std::string>& more_env, Cancellation cancel,
                                   const LineFn& on_line) const {
  PYRO_ASSIGN_OR_RETURN(argv.front(), tools_.Find(argv.front()));
  // The umask of this process may be stricter than that of an image's maker.
  argv.insert(argv.begin(), {"/bin/sh", "-c", "umask 022 && exec \"$@\"", "sh"});
  sys::SpawnOptions options;
  options.argv = Wrap(std::move(argv));
  options.env = ToolEnvironment(tools_);
  options.env.insert(options.env.end(), more_env.begin(), more_env.end());
  options.env.push_back("TMPDIR=" + work_dir.native());
  options.cwd = work_dir;
  return RunTool(std::move(options), cancel, on_line);
}

Status RootNamespace::RemoveTree(const std::filesystem::path& path) const {
  PYRO_ASSIGN_OR_RETURN(const auto rm, tools_.Find("rm"));
  auto removed = Capture(tools_, Wrap({rm, "-rf", "--one-file-system", "--", path}));
  if (!removed) return std::move(removed).error();
  return OkStatus();
}

Status RemoveBuildTree(const ToolPaths& tools, const std::filesystem::path& path) {
  // In a process that outlives this one: a server whose client has gone does not wait for it.
  if (const auto rm = tools.Find("rm")) {
    sys::SpawnOptions options;
    options.argv = {rm->native(), "-rf", "--one-file-system", "--", path.native()};
    options.env = ToolEnvironment(tools);
    options.die_with_parent = false;
    const auto removed = sys::RunCommand(std::move(options), Deadline::After(kRemovalLimit));
    if (removed && removed->status.success()) return OkStatus();
  }
  if (sys::RemoveTree(path)) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const RootNamespace root, RootNamespace::Create(tools));
  return root.RemoveTree(path);
}

}  // namespace pyro::image
