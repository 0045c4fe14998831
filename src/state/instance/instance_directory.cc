#include "state/instance/instance_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/files.h"

namespace pyro::state {
namespace fs = std::filesystem;
namespace {

// Being removed, without an owner: any process that sees it may finish the removal.
constexpr std::string_view kGonePrefix = ".gone-";
// Being made inside WithExclusive, so that a task's directory has its manifest and its mark as soon
// as it has its name.
constexpr std::string_view kNewPrefix = ".new-";
constexpr const char* kCreatingMark = "creating";

bool KeepsWork(const InstanceId& id) { return PolicyOf(id.kind()).keeps_work; }

fs::path Parent(const fs::path& state_dir, const InstanceId& id) {
  return InstancesDirectory(state_dir, id.kind());
}

fs::path Prefixed(const fs::path& state_dir, std::string_view prefix, const InstanceId& id) {
  return Parent(state_dir, id) / (std::string(prefix) + id.str());
}

// True: it is there. Links are not followed.
Result<bool> Exists(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return sys::ErrnoError(errno, "look at", path.native());
}

Status MakeEmptyFile(const fs::path& path) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                        sys::OpenFile(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  return OkStatus();
}

Status MakeDirectory(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return OkStatus();
  return sys::ErrnoError(errno, "create directory", path.native());
}

// Syncs the directory, too.
Status WriteManifest(const fs::path& directory, const InstanceRecord& task) {
  return sys::WriteFileAtomically(directory / "manifest.json", FormatTaskManifest(task));
}

// Of a directory that no other process knows yet.
Result<sys::FileLock> TakeNewLock(const fs::path& directory, InstanceKind kind) {
  PYRO_ASSIGN_OR_RETURN(std::optional<sys::FileLock> lock,
                        sys::FileLock::TryAcquire(directory / "lock"));
  if (lock) return std::move(*lock);
  return MakeError(ErrorCode::kInternal,
                   fmt::format("a new {}'s lock is taken", PolicyOf(kind).thing));
}

Status FillTaskDirectory(const fs::path& directory, const InstanceRecord& task) {
  PYRO_RETURN_IF_ERROR(MakeEmptyFile(directory / kCreatingMark));
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory / "commands"));
  return WriteManifest(directory, task);
}

// Fills `fresh`, and gives it the task's name. After an error no directory has that name.
Status NameTaskDirectory(const fs::path& state_dir, const fs::path& fresh,
                         const InstanceRecord& task) {
  Status named = FillTaskDirectory(fresh, task);
  PYRO_FAILPOINT("task.create.manifest-written");
  if (!named) return named;
  if (std::rename(fresh.c_str(), InstanceDirectory(state_dir, task.id).c_str()) != 0) {
    return sys::ErrnoError(errno, "rename", fresh.native());
  }
  PYRO_FAILPOINT("task.create.directory-named");
  // Its name, and that of tasks/ itself.
  named = sys::SyncDirectory(Parent(state_dir, task.id));
  if (named) named = sys::SyncDirectory(state_dir);
  if (!named) (void)RemoveInstanceDirectory(state_dir, task.id);
  return named;
}

Result<sys::FileLock> CreateTaskDirectory(const fs::path& state_dir, const InstanceSpec& spec,
                                          WallTime created_at) {
  const fs::path fresh = Prefixed(state_dir, kNewPrefix, spec.id);
  PYRO_RETURN_IF_ERROR(MakeDirectory(fresh));
  PYRO_FAILPOINT("task.create.directory-made");
  InstanceRecord task(spec);
  task.created_at = created_at;
  auto lock = TakeNewLock(fresh, spec.id.kind());
  Status named = lock ? NameTaskDirectory(state_dir, fresh, task) : Status(lock.error());
  if (named) return lock;
  (void)sys::RemoveTree(fresh);
  return std::move(named).error();
}

Status CheckNew(const fs::path& state_dir, const InstanceSpec& spec) {
  PYRO_RETURN_IF_ERROR(CheckSpec(spec));
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(Parent(state_dir, spec.id)));
  const fs::path directory = InstanceDirectory(state_dir, spec.id);
  PYRO_ASSIGN_OR_RETURN(const bool taken, Exists(directory));
  return taken ? Status(sys::ErrnoError(EEXIST, "create directory", directory.native()))
               : OkStatus();
}

// The names under vms/ or tasks/; none if it was never made.
Result<std::vector<std::string>> Names(const fs::path& state_dir, InstanceKind kind) {
  std::vector<std::string> names;
  std::error_code error;
  const fs::path parent = InstancesDirectory(state_dir, kind);
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return sys::ErrnoError(error.value(), "read", parent.native());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// True: no process holds it, and a task's mark of creation exists or not as `creating` says. False
// if the directory has disappeared meanwhile.
Result<bool> IsFree(const fs::path& state_dir, const InstanceId& id, bool creating) {
  auto lock = sys::FileLock::TryAcquire(InstanceLock(state_dir, id));
  if (!lock && lock.error().code == ErrorCode::kNotFound) return false;
  if (!lock) return lock.error();
  if (!lock->has_value()) return false;
  if (!KeepsWork(id)) return true;
  // Under the lock: only its holder removes the mark.
  PYRO_ASSIGN_OR_RETURN(const bool marked,
                        Exists(InstanceDirectory(state_dir, id) / kCreatingMark));
  return marked == creating;
}

}  // namespace

fs::path InstancesDirectory(const fs::path& state_dir, InstanceKind kind) {
  return state_dir / PolicyOf(kind).folder;
}
fs::path InstanceDirectory(const fs::path& state_dir, const InstanceId& id) {
  return Parent(state_dir, id) / id.str();
}
fs::path InstanceLock(const fs::path& state_dir, const InstanceId& id) {
  return InstanceDirectory(state_dir, id) / "lock";
}
fs::path ControlSocket(const fs::path& state_dir, const InstanceId& id) {
  return InstanceDirectory(state_dir, id) / "control.sock";
}
fs::path DataImage(const fs::path& state_dir, const InstanceId& id) {
  return InstanceDirectory(state_dir, id) / "data.img";
}
fs::path HostWorkspace(const fs::path& state_dir, const InstanceId& id) {
  return InstanceDirectory(state_dir, id) / "workspace";
}

Result<sys::FileLock> CreateInstanceDirectory(const fs::path& state_dir, const InstanceSpec& spec,
                                              WallTime created_at) {
  PYRO_RETURN_IF_ERROR(CheckNew(state_dir, spec));
  if (KeepsWork(spec.id)) return CreateTaskDirectory(state_dir, spec, created_at);
  const fs::path directory = InstanceDirectory(state_dir, spec.id);
  PYRO_RETURN_IF_ERROR(MakeDirectory(directory));
  auto lock = TakeNewLock(directory, spec.id.kind());
  if (!lock) (void)sys::RemoveTree(directory);
  return lock;
}

Status TurnIntoTask(const fs::path& state_dir, const fs::path& spare, const InstanceRecord& task) {
  PYRO_RETURN_IF_ERROR(CheckNew(state_dir, task));
  return NameTaskDirectory(state_dir, spare, task);
}

Status FinishCreation(const fs::path& state_dir, const InstanceId& id) {
  const fs::path directory = InstanceDirectory(state_dir, id);
  if (::unlink((directory / kCreatingMark).c_str()) != 0 && errno != ENOENT) {
    return sys::ErrnoError(errno, "finish the creation of", directory.native());
  }
  return sys::SyncDirectory(directory);
}

Result<InstanceFiles> LookAtFiles(const fs::path& state_dir, const InstanceId& id) {
  const fs::path directory = InstanceDirectory(state_dir, id);
  PYRO_ASSIGN_OR_RETURN(const bool there, Exists(directory));
  if (!there) {
    PYRO_ASSIGN_OR_RETURN(const bool going, Exists(RetiredDirectory(state_dir, id)));
    return going ? InstanceFiles::kRemoving : InstanceFiles::kMissing;
  }
  PYRO_ASSIGN_OR_RETURN(const bool marked, Exists(directory / kCreatingMark));
  return marked ? InstanceFiles::kCreating : InstanceFiles::kReady;
}

fs::path RetiredDirectory(const fs::path& state_dir, const InstanceId& id) {
  return Prefixed(state_dir, kGonePrefix, id);
}

Status RetireDirectory(const fs::path& state_dir, const InstanceId& id) {
  const fs::path directory = InstanceDirectory(state_dir, id);
  if (std::rename(directory.c_str(), RetiredDirectory(state_dir, id).c_str()) != 0) {
    if (errno == ENOENT) return OkStatus();
    return sys::ErrnoError(errno, "remove", directory.native());
  }
  return KeepsWork(id) ? sys::SyncDirectory(Parent(state_dir, id)) : OkStatus();
}

Status RemoveInstanceDirectory(const fs::path& state_dir, const InstanceId& id) {
  PYRO_RETURN_IF_ERROR(RetireDirectory(state_dir, id));
  return sys::RemoveTree(RetiredDirectory(state_dir, id));
}

Result<std::vector<InstanceId>> ListTaskDirectories(const fs::path& state_dir) {
  std::vector<InstanceId> ids;
  PYRO_ASSIGN_OR_RETURN(const auto names, Names(state_dir, InstanceKind::kTask));
  for (const std::string& name : names) {
    if (auto id = InstanceId::Parse(InstanceKind::kTask, name)) ids.push_back(std::move(*id));
  }
  return ids;
}

Result<std::vector<fs::path>> LeftoverDirectories(const fs::path& state_dir, InstanceKind kind,
                                                  const std::vector<InstanceRecord>& known) {
  std::vector<fs::path> leftovers;
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(state_dir, kind));
  for (const std::string& name : names) {
    const std::string_view prefix = name.starts_with(kGonePrefix)  ? kGonePrefix
                                    : name.starts_with(kNewPrefix) ? kNewPrefix
                                                                   : std::string_view();
    const auto id = InstanceId::Parse(kind, std::string_view(name).substr(prefix.size()));
    const bool has_row = id && std::any_of(known.begin(), known.end(),
                                           [&](const auto& one) { return one.id == *id; });
    bool leftover = false;
    if (prefix == kNewPrefix) {
      leftover = true;
    } else if (prefix == kGonePrefix) {
      leftover = !has_row;
    } else if (id && !has_row) {
      PYRO_ASSIGN_OR_RETURN(leftover, IsFree(state_dir, *id, /*creating=*/true));
    }
    if (leftover) leftovers.push_back(InstancesDirectory(state_dir, kind) / name);
  }
  return leftovers;
}

Result<bool> MayHaveLeftovers(const fs::path& state_dir, InstanceKind kind,
                              const std::vector<InstanceRecord>& known) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(state_dir, kind));
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::none_of(known.begin(), known.end(),
                        [&](const InstanceRecord& one) { return one.id.str() == name; });
  });
}

Result<bool> IsAdoptable(const fs::path& state_dir, const InstanceId& id) {
  return IsFree(state_dir, id, /*creating=*/false);
}

Status ReplaceManifest(const fs::path& state_dir, const InstanceRecord& task) {
  return WriteManifest(InstanceDirectory(state_dir, task.id), task);
}

}  // namespace pyro::state
