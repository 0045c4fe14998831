// Where a task's files lie, and how its directory comes and goes. docs/REGISTRY.md lists the files.
//
// A task's directory is the task: its row can be made again from it (task_adoption.h), its work
// cannot. So nothing here ever takes one away that may hold work only because it has no row.

#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "pyro/result.h"
#include "registry/task_record.h"
#include "sys/file_lock.h"

namespace pyro::registry {

std::filesystem::path TasksDirectory(const std::filesystem::path& state_dir);
std::filesystem::path TaskDirectory(const std::filesystem::path& state_dir, const TaskId& id);
std::filesystem::path TaskLock(const std::filesystem::path& state_dir, const TaskId& id);
std::filesystem::path TaskControlSocket(const std::filesystem::path& state_dir, const TaskId& id);
std::filesystem::path TaskDataImage(const std::filesystem::path& state_dir, const TaskId& id);
std::filesystem::path TaskConsoleLog(const std::filesystem::path& state_dir, const TaskId& id);

// Makes the directory with its manifest, marked as being created, and takes its lock. To be called
// inside Registry::WithExclusive, together with InsertTask. What is on disk when it returns stays
// there. kAlreadyExists. Fill it (disk, seed), then call FinishTaskCreation.
Result<sys::FileLock> CreateTaskDirectory(const std::filesystem::path& state_dir,
                                          const TaskSpec& spec, WallTime created_at);

// Takes the mark away, for whoever holds the lock; before the first command runs. From here on the
// directory is never a leftover. What is in it is synced by the caller before.
Status FinishTaskCreation(const std::filesystem::path& state_dir, const TaskId& id);

enum class TaskFiles {
  kReady,
  kCreating,  // Being created by the holder of its lock; with a free lock: cut off, remove it.
  kRemoving,  // A removal was cut off after its point of no return: finish it, row included.
  kMissing,   // Somebody else took it away.
};
Result<TaskFiles> LookAtTaskFiles(const std::filesystem::path& state_dir, const TaskId& id);

// The point of no return of a removal, for whoever holds the lock: the directory disappears, also
// over a power cut. A removal calls it and then DeleteTask inside one WithExclusive, in this
// order, or a crash in between would leave a directory that is taken for a lost task; and
// RemoveTaskDirectory after it. Fine if it is gone already.
Status RetireTaskDirectory(const std::filesystem::path& state_dir, const TaskId& id);

// Where it lies after that, until its content is gone.
std::filesystem::path RetiredTaskDirectory(const std::filesystem::path& state_dir,
                                           const TaskId& id);

// RetireTaskDirectory and then the content, which may take long: outside WithExclusive.
Status RemoveTaskDirectory(const std::filesystem::path& state_dir, const TaskId& id);

// The tasks that have a directory, whatever its condition.
Result<std::vector<TaskId>> ListTaskDirectories(const std::filesystem::path& state_dir);

// What was cut off under tasks/: removals after their point of no return, and creations that never
// got to hold work and have no holder of their lock; neither if it has a row (an id in `known`),
// which has to go first. To be called inside WithExclusive, and to be removed there.
Result<std::vector<std::filesystem::path>> LeftoverTaskDirectories(
    const std::filesystem::path& state_dir, const std::vector<TaskId>& known);

// True: a finished task whose lock is free. If it has no row, its registry was lost. To be called
// inside WithExclusive.
Result<bool> IsAdoptable(const std::filesystem::path& state_dir, const TaskId& id);

}  // namespace pyro::registry
