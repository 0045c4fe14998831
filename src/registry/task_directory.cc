#include "registry/task_directory.h"

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

#include "base/try.h"
#include "registry/task_manifest.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/files.h"

namespace pyro::registry {
namespace fs = std::filesystem;
namespace {

// Being removed, without an owner: any process that sees it may finish the removal.
constexpr std::string_view kGoneTaskPrefix = ".gone-";
// Being made inside WithExclusive, so that a task's directory has its manifest and its mark as soon
// as it has its name.
constexpr std::string_view kNewPrefix = ".new-";
constexpr const char* kCreatingMark = "creating";

fs::path Prefixed(const fs::path& state_dir, std::string_view prefix, const InstanceId& id) {
  return TasksDirectory(state_dir) / (std::string(prefix) + id.str());
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

Result<sys::FileLock> Fill(const fs::path& directory, const InstanceRecord& task) {
  PYRO_ASSIGN_OR_RETURN(std::optional<sys::FileLock> lock,
                        sys::FileLock::TryAcquire(directory / "lock"));
  if (!lock) return MakeError(ErrorCode::kInternal, "a new task's lock is taken");
  PYRO_RETURN_IF_ERROR(MakeEmptyFile(directory / kCreatingMark));
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory / "commands"));
  // Syncs the directory, too.
  PYRO_RETURN_IF_ERROR(
      sys::WriteFileAtomically(directory / "manifest.json", FormatTaskManifest(task)));
  return std::move(*lock);
}

// The names under tasks/; none if it was never made.
Result<std::vector<std::string>> Names(const fs::path& state_dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(TasksDirectory(state_dir), error), end; !error && it != end;
       it.increment(error)) {
    names.push_back(it->path().filename());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return sys::ErrnoError(error.value(), "read", TasksDirectory(state_dir).native());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// True: no process holds the task, and its mark of creation exists or not as `creating` says. False
// if the directory has disappeared meanwhile.
Result<bool> IsFree(const fs::path& state_dir, const InstanceId& id, bool creating) {
  auto lock = sys::FileLock::TryAcquire(TaskLock(state_dir, id));
  if (!lock && lock.error().code == ErrorCode::kNotFound) return false;
  if (!lock) return lock.error();
  if (!lock->has_value()) return false;
  // Under the lock: only its holder removes the mark.
  PYRO_ASSIGN_OR_RETURN(const bool marked, Exists(TaskDirectory(state_dir, id) / kCreatingMark));
  return marked == creating;
}

}  // namespace

fs::path TasksDirectory(const fs::path& state_dir) { return state_dir / "tasks"; }
fs::path TaskDirectory(const fs::path& state_dir, const InstanceId& id) {
  return TasksDirectory(state_dir) / id.str();
}
fs::path TaskLock(const fs::path& state_dir, const InstanceId& id) {
  return TaskDirectory(state_dir, id) / "lock";
}
fs::path TaskControlSocket(const fs::path& state_dir, const InstanceId& id) {
  return TaskDirectory(state_dir, id) / "control.sock";
}
fs::path TaskDataImage(const fs::path& state_dir, const InstanceId& id) {
  return TaskDirectory(state_dir, id) / "data.img";
}
fs::path TaskConsoleLog(const fs::path& state_dir, const InstanceId& id) {
  return TaskDirectory(state_dir, id) / "console.log";
}

Result<sys::FileLock> CreateTaskDirectory(const fs::path& state_dir, const InstanceSpec& spec,
                                          WallTime created_at) {
  PYRO_RETURN_IF_ERROR(CheckSpec(spec));
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(TasksDirectory(state_dir)));
  const fs::path directory = TaskDirectory(state_dir, spec.id);
  PYRO_ASSIGN_OR_RETURN(const bool taken, Exists(directory));
  if (taken) return sys::ErrnoError(EEXIST, "create directory", directory.native());
  const fs::path fresh = Prefixed(state_dir, kNewPrefix, spec.id);
  if (::mkdir(fresh.c_str(), 0700) != 0) {
    return sys::ErrnoError(errno, "create directory", fresh.native());
  }
  PYRO_FAILPOINT("task.create.directory-made");
  InstanceRecord task(spec);
  task.created_at = created_at;
  auto lock = Fill(fresh, task);
  PYRO_FAILPOINT("task.create.manifest-written");
  if (lock && std::rename(fresh.c_str(), directory.c_str()) != 0) {
    lock = sys::ErrnoError(errno, "rename", fresh.native());
  }
  if (!lock) {
    (void)sys::RemoveTree(fresh);
    return lock;
  }
  PYRO_FAILPOINT("task.create.directory-named");
  // Its name, and that of tasks/ itself.
  Status synced = sys::SyncDirectory(TasksDirectory(state_dir));
  if (synced) synced = sys::SyncDirectory(state_dir);
  if (!synced) {
    (void)RemoveTaskDirectory(state_dir, spec.id);
    return synced.error();
  }
  return lock;
}

Status FinishTaskCreation(const fs::path& state_dir, const InstanceId& id) {
  const fs::path directory = TaskDirectory(state_dir, id);
  if (::unlink((directory / kCreatingMark).c_str()) != 0 && errno != ENOENT) {
    return sys::ErrnoError(errno, "finish the creation of", directory.native());
  }
  return sys::SyncDirectory(directory);
}

Result<TaskFiles> LookAtTaskFiles(const fs::path& state_dir, const InstanceId& id) {
  const fs::path directory = TaskDirectory(state_dir, id);
  PYRO_ASSIGN_OR_RETURN(const bool there, Exists(directory));
  if (!there) {
    PYRO_ASSIGN_OR_RETURN(const bool going, Exists(Prefixed(state_dir, kGoneTaskPrefix, id)));
    return going ? TaskFiles::kRemoving : TaskFiles::kMissing;
  }
  PYRO_ASSIGN_OR_RETURN(const bool marked, Exists(directory / kCreatingMark));
  return marked ? TaskFiles::kCreating : TaskFiles::kReady;
}

fs::path RetiredTaskDirectory(const fs::path& state_dir, const InstanceId& id) {
  return Prefixed(state_dir, kGoneTaskPrefix, id);
}

Status RetireTaskDirectory(const fs::path& state_dir, const InstanceId& id) {
  const fs::path directory = TaskDirectory(state_dir, id);
  const fs::path gone = RetiredTaskDirectory(state_dir, id);
  if (std::rename(directory.c_str(), gone.c_str()) != 0) {
    if (errno == ENOENT) return OkStatus();
    return sys::ErrnoError(errno, "remove", directory.native());
  }
  return sys::SyncDirectory(TasksDirectory(state_dir));
}

Status RemoveTaskDirectory(const fs::path& state_dir, const InstanceId& id) {
  PYRO_RETURN_IF_ERROR(RetireTaskDirectory(state_dir, id));
  return sys::RemoveTree(RetiredTaskDirectory(state_dir, id));
}

Result<std::vector<InstanceId>> ListTaskDirectories(const fs::path& state_dir) {
  std::vector<InstanceId> ids;
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(state_dir));
  for (const std::string& name : names) {
    if (auto id = InstanceId::Parse(InstanceKind::kTask, name)) ids.push_back(std::move(*id));
  }
  return ids;
}

Result<std::vector<fs::path>> LeftoverTaskDirectories(const fs::path& state_dir,
                                                      const std::vector<InstanceId>& known) {
  std::vector<fs::path> leftovers;
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(state_dir));
  for (const std::string& name : names) {
    const bool gone = name.starts_with(kGoneTaskPrefix);
    if (!gone && !name.starts_with(kNewPrefix)) continue;
    const auto id = InstanceId::Parse(
        InstanceKind::kTask, name.substr(gone ? kGoneTaskPrefix.size() : kNewPrefix.size()));
    if (gone && id && std::find(known.begin(), known.end(), *id) != known.end()) continue;
    leftovers.push_back(TasksDirectory(state_dir) / name);
  }
  PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceId> ids, ListTaskDirectories(state_dir));
  for (const InstanceId& id : ids) {
    if (std::find(known.begin(), known.end(), id) != known.end()) continue;
    PYRO_ASSIGN_OR_RETURN(const bool cut_off, IsFree(state_dir, id, /*creating=*/true));
    if (cut_off) leftovers.push_back(TaskDirectory(state_dir, id));
  }
  return leftovers;
}

Result<bool> IsAdoptable(const fs::path& state_dir, const InstanceId& id) {
  return IsFree(state_dir, id, /*creating=*/false);
}

}  // namespace pyro::registry
