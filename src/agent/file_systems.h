// The kernel's file systems in the guest's root: mounted before there is that root, so that a
// frozen guest has them already.

#pragma once

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::agent {

// Where commands have their cgroups once the file systems are in their place.
inline constexpr const char* kCgroupDirectory = "/sys/fs/cgroup/pyro";

// Mounts /proc, /sys, /sys/fs/cgroup, /dev, /dev/pts, /dev/shm and /run where no command looks yet,
// and returns what PlaceFileSystems() finds them by. For PID 1 in the initramfs, once.
Result<sys::UniqueFd> PrepareFileSystems();

// Moves them to their places in what is the root by now.
Status PlaceFileSystems(const sys::UniqueFd& prepared);

}  // namespace pyro::agent
