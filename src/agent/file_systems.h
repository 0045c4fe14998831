// The kernel's file systems in the guest's root: mounted before that root exists, so that a frozen
// guest has them already.

#pragma once

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::agent {

// The directory of the commands' cgroups once the file systems are in their place.
inline constexpr const char* kCgroupDirectory = "/sys/fs/cgroup/pyro";

// Mounts /proc, /sys, /sys/fs/cgroup, /dev, /dev/pts, /dev/shm and /run at temporary places, and
// returns them for PlaceFileSystems(). For PID 1 in the initramfs, once.
Result<sys::UniqueFd> PrepareFileSystems();

// Moves them to their places in the new root.
Status PlaceFileSystems(const sys::UniqueFd& prepared);

}  // namespace pyro::agent
