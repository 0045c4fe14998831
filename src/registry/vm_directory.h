// Where a VM's files lie, and how its directory comes and goes. docs/REGISTRY.md lists the files.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/ids.h"
#include "pyro/result.h"
#include "sys/file_lock.h"

namespace pyro::registry {

std::filesystem::path VmsDirectory(const std::filesystem::path& state_dir);
std::filesystem::path VmDirectory(const std::filesystem::path& state_dir, const VmId& id);
std::filesystem::path VmLock(const std::filesystem::path& state_dir, const VmId& id);
std::filesystem::path VmControlSocket(const std::filesystem::path& state_dir, const VmId& id);

// Makes the directory and takes its lock. To be called inside Registry::WithExclusive, together
// with InsertVm: then no other process can find the directory without its row and take it for a
// leftover.
Result<sys::FileLock> CreateVmDirectory(const std::filesystem::path& state_dir, const VmId& id);

// For whoever holds the lock. It disappears at once, its content soon after; what a crash leaves is
// found by LeftoverDirectories.
Status RemoveVmDirectory(const std::filesystem::path& state_dir, const VmId& id);

// Names under vms/ that are neither the directory of a VM in `known` nor locked by anybody: to be
// called inside WithExclusive.
Result<std::vector<std::filesystem::path>> LeftoverDirectories(
    const std::filesystem::path& state_dir, const std::vector<VmId>& known);

}  // namespace pyro::registry
