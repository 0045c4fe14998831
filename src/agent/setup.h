// What makes a booted guest the one that its owner asked for.

#pragma once

#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "wire/messages.h"

namespace pyro::agent {

// Clock and entropy first, then the guest's root and everything written to it. For PID 1 that still
// stands in the initramfs, once; afterwards it stands in the guest's root:
//
//   /           overlay of the base and of the data disk, where every change stays, /tmp included
//   /workspace  a directory of the data disk itself
//   /run, /dev/shm                       in memory
//   /proc, /sys, /sys/fs/cgroup, /dev    the kernel's
//
// `file_systems` are those of PrepareFileSystems(). The error's message begins with the step that
// failed.
Status SetUpGuest(const wire::GuestSetup& setup, const sys::UniqueFd& file_systems);

}  // namespace pyro::agent
