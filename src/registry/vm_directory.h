// The places of a VM's files, and the creation and removal of its directory. docs/REGISTRY.md lists
// the files.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/ids.h"
#include "pyro/result.h"
#include "sys/file_lock.h"

namespace pyro::registry {

std::filesystem::path VmsDirectory(const std::filesystem::path& state_dir);
std::filesystem::path VmDirectory(const std::filesystem::path& state_dir, const InstanceId& id);
std::filesystem::path VmLock(const std::filesystem::path& state_dir, const InstanceId& id);
std::filesystem::path VmControlSocket(const std::filesystem::path& state_dir, const InstanceId& id);

// Makes the directory and takes its lock. Call it inside Registry::WithExclusive, together with
// Insert: then no other process can find the directory without its row and treat it as a
// leftover.
Result<sys::FileLock> CreateVmDirectory(const std::filesystem::path& state_dir,
                                        const InstanceId& id);

// For the holder of the lock. The directory disappears at once, its content soon after;
// LeftoverDirectories finds the remains of a crash.
Status RemoveVmDirectory(const std::filesystem::path& state_dir, const InstanceId& id);

// Names under vms/ that are neither the directory of a VM in `known` nor locked by a process. Call
// it inside WithExclusive.
Result<std::vector<std::filesystem::path>> LeftoverDirectories(
    const std::filesystem::path& state_dir, const std::vector<InstanceId>& known);

}  // namespace pyro::registry
