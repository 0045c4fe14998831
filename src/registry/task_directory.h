// The places of a task's files, and the creation and removal of its directory. docs/REGISTRY.md
// lists the files.
//
// A task's directory is the task: its row can be restored from it (task_adoption.h), its work
// cannot. So no function here removes a directory that may hold work only because it has no row.

#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "pyro/result.h"
#include "registry/instance_record.h"
#include "sys/file_lock.h"

namespace pyro::registry {

std::filesystem::path TasksDirectory(const std::filesystem::path& state_dir);
std::filesystem::path TaskDirectory(const std::filesystem::path& state_dir, const InstanceId& id);
std::filesystem::path TaskLock(const std::filesystem::path& state_dir, const InstanceId& id);
std::filesystem::path TaskControlSocket(const std::filesystem::path& state_dir,
                                        const InstanceId& id);
std::filesystem::path TaskDataImage(const std::filesystem::path& state_dir, const InstanceId& id);
std::filesystem::path TaskConsoleLog(const std::filesystem::path& state_dir, const InstanceId& id);

// Makes the directory with its manifest, marked as being created, and takes its lock. Call it
// inside Registry::WithExclusive, together with Insert. The directory is durable when it
// returns. kAlreadyExists. Fill it (disk, seed), then call FinishTaskCreation.
Result<sys::FileLock> CreateTaskDirectory(const std::filesystem::path& state_dir,
                                          const InstanceSpec& spec, WallTime created_at);

// Removes the mark, before the first command runs. For the holder of the lock. From here on the
// directory is never a leftover. The caller syncs its content before.
Status FinishTaskCreation(const std::filesystem::path& state_dir, const InstanceId& id);

enum class TaskFiles {
  kReady,
  kCreating,  // Being created by the holder of its lock; with a free lock: interrupted, remove it.
  kRemoving,  // A removal was interrupted after its point of no return: finish it, with the row.
  kMissing,   // Another process removed it.
};
Result<TaskFiles> LookAtTaskFiles(const std::filesystem::path& state_dir, const InstanceId& id);

// The point of no return of a removal, for the holder of the lock: the directory disappears, even
// if the power fails. A removal calls it and then Registry::Delete inside one WithExclusive. In the
// other order a crash in between would leave a directory that looks like a lost task. Then it calls
// RemoveTaskDirectory. A missing directory is no error.
Status RetireTaskDirectory(const std::filesystem::path& state_dir, const InstanceId& id);

// Its place after that, until its content is removed.
std::filesystem::path RetiredTaskDirectory(const std::filesystem::path& state_dir,
                                           const InstanceId& id);

// RetireTaskDirectory and then the content, which may take long: outside WithExclusive.
Status RemoveTaskDirectory(const std::filesystem::path& state_dir, const InstanceId& id);

// The tasks that have a directory, in any condition.
Result<std::vector<InstanceId>> ListTaskDirectories(const std::filesystem::path& state_dir);

// The interrupted operations under tasks/: removals after their point of no return, and creations
// without work whose lock is free. Neither if it has a row (an id in `known`), which must be
// deleted first. Call it, and remove the directories, inside WithExclusive.
Result<std::vector<std::filesystem::path>> LeftoverTaskDirectories(
    const std::filesystem::path& state_dir, const std::vector<InstanceId>& known);

// True: a finished task whose lock is free. If it has no row, its registry was lost. Call it inside
// WithExclusive.
Result<bool> IsAdoptable(const std::filesystem::path& state_dir, const InstanceId& id);

}  // namespace pyro::registry
