// The places of an instance's files, and the creation and removal of its directory.
// docs/REGISTRY.md lists the files.
//
// A task's directory is the task: its row can be restored from it (task_adoption.h), its work
// cannot. So no function here removes a directory that may hold work only because it has no row.

#pragma once

#include <filesystem>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "pyro/result.h"
#include "state/instance/instance_record.h"
#include "sys/file_lock.h"

namespace pyro::state {

std::filesystem::path InstancesDirectory(const std::filesystem::path& state_dir, InstanceKind kind);
std::filesystem::path InstanceDirectory(const std::filesystem::path& state_dir,
                                        const InstanceId& id);
std::filesystem::path InstanceLock(const std::filesystem::path& state_dir, const InstanceId& id);
std::filesystem::path ControlSocket(const std::filesystem::path& state_dir, const InstanceId& id);
std::filesystem::path DataImage(const std::filesystem::path& state_dir, const InstanceId& id);
// Of commands that run on the host.
std::filesystem::path HostWorkspace(const std::filesystem::path& state_dir, const InstanceId& id);

// Makes the directory and takes its lock. Call it inside Registry::WithExclusive, together with
// Insert: then no other process can find the directory without its row and treat it as a leftover.
// kAlreadyExists.
// That of a task has its manifest and the mark of creation, and is durable when it returns: fill it
// (disk, seed), then call FinishCreation.
Result<sys::FileLock> CreateInstanceDirectory(const std::filesystem::path& state_dir,
                                              const InstanceSpec& spec, WallTime created_at);

// The same for a task that is made of a spare: the directory `spare`, whose lock the caller holds,
// becomes the task's. After an error the task has no directory.
Status TurnIntoTask(const std::filesystem::path& state_dir, const std::filesystem::path& spare,
                    const InstanceRecord& task);

// Removes the mark, before the first command runs. For the holder of the lock. From here on the
// directory is never a leftover. The caller syncs its content before.
Status FinishCreation(const std::filesystem::path& state_dir, const InstanceId& id);

enum class InstanceFiles {
  kReady,
  kCreating,  // Being created by the holder of its lock; with a free lock: interrupted, remove it.
  kRemoving,  // A removal was interrupted after the directory went: finish it, with the row.
  kMissing,   // Another process removed it.
};
Result<InstanceFiles> LookAtFiles(const std::filesystem::path& state_dir, const InstanceId& id);

// The directory disappears in one step, for the holder of the lock. A missing one is no error.
// For a task this is the point of no return, and holds even if the power fails. A removal calls it
// and then Registry::Delete inside one WithExclusive. In the other order a crash in between would
// leave a directory that looks like a lost task. A VM's row goes first.
Status RetireDirectory(const std::filesystem::path& state_dir, const InstanceId& id);

// Its place after that, until its content is removed.
std::filesystem::path RetiredDirectory(const std::filesystem::path& state_dir,
                                       const InstanceId& id);

// RetireDirectory and then the content, which may take long: outside WithExclusive.
Status RemoveInstanceDirectory(const std::filesystem::path& state_dir, const InstanceId& id);

// The tasks that have a directory, in any condition.
Result<std::vector<InstanceId>> ListTaskDirectories(const std::filesystem::path& state_dir);

// What interrupted operations left: retired directories, unfinished creations, and directories of
// VMs with a free lock. None of them if it has a row (an id in `known`), which must be deleted
// first. Call it, and remove the directories, inside WithExclusive.
Result<std::vector<std::filesystem::path>> LeftoverDirectories(
    const std::filesystem::path& state_dir, InstanceKind kind,
    const std::vector<InstanceRecord>& known);

// False: there is none of these. Needs no WithExclusive and takes no lock.
Result<bool> MayHaveLeftovers(const std::filesystem::path& state_dir, InstanceKind kind,
                              const std::vector<InstanceRecord>& known);

// True: a finished task whose lock is free. If it has no row, its registry was lost. Call it inside
// WithExclusive.
Result<bool> IsAdoptable(const std::filesystem::path& state_dir, const InstanceId& id);

// Writes a task's manifest again, after a change of its record; durable when it returns.
Status ReplaceManifest(const std::filesystem::path& state_dir, const InstanceRecord& task);

}  // namespace pyro::state
