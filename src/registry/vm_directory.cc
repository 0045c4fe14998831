#include "registry/vm_directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <system_error>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::registry {
namespace fs = std::filesystem;
namespace {

// A directory that is being removed: it has no owner, and any process that sees it may finish it.
constexpr std::string_view kGoneVmPrefix = ".gone-";

}  // namespace

fs::path VmsDirectory(const fs::path& state_dir) { return state_dir / "vms"; }
fs::path VmDirectory(const fs::path& state_dir, const InstanceId& id) {
  return VmsDirectory(state_dir) / id.str();
}
fs::path VmLock(const fs::path& state_dir, const InstanceId& id) {
  return VmDirectory(state_dir, id) / "lock";
}
fs::path VmControlSocket(const fs::path& state_dir, const InstanceId& id) {
  return VmDirectory(state_dir, id) / "control.sock";
}

Result<sys::FileLock> CreateVmDirectory(const fs::path& state_dir, const InstanceId& id) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(VmsDirectory(state_dir)));
  const fs::path directory = VmDirectory(state_dir, id);
  if (::mkdir(directory.c_str(), 0700) != 0) {
    return sys::ErrnoError(errno, "create directory", directory.native());
  }
  auto lock = sys::FileLock::TryAcquire(VmLock(state_dir, id));
  if (lock && *lock) return std::move(**lock);
  (void)sys::RemoveTree(directory);
  if (!lock) return std::move(lock).error();
  return MakeError(ErrorCode::kInternal, "a new VM's lock is taken");
}

Status RemoveVmDirectory(const fs::path& state_dir, const InstanceId& id) {
  const fs::path gone = VmsDirectory(state_dir) / (std::string(kGoneVmPrefix) + id.str());
  if (std::rename(VmDirectory(state_dir, id).c_str(), gone.c_str()) != 0 && errno != ENOENT) {
    return sys::ErrnoError(errno, "remove", VmDirectory(state_dir, id).native());
  }
  return sys::RemoveTree(gone);
}

Result<std::vector<fs::path>> LeftoverDirectories(const fs::path& state_dir,
                                                  const std::vector<InstanceId>& known) {
  std::vector<fs::path> leftovers;
  std::error_code error;
  for (fs::directory_iterator it(VmsDirectory(state_dir), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename();
    if (name.starts_with(kGoneVmPrefix)) {
      leftovers.push_back(it->path());
      continue;
    }
    const auto id = InstanceId::Parse(InstanceKind::kVm, name);
    if (!id || std::find(known.begin(), known.end(), *id) != known.end()) continue;
    PYRO_ASSIGN_OR_RETURN(const std::optional<sys::FileLock> lock,
                          sys::FileLock::TryAcquire(it->path() / "lock"));
    if (lock) leftovers.push_back(it->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return sys::ErrnoError(error.value(), "read", VmsDirectory(state_dir).native());
  }
  return leftovers;
}

}  // namespace pyro::registry
