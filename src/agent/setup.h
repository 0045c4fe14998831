// Turns a booted guest into the one that its owner asked for.

#pragma once

#include <utility>

#include "agent/device_watch.h"
#include "agent/guest_clock.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "wire/messages.h"

namespace pyro::agent {

// The guest's root, which PID 1 enters from the initramfs:
//
//   /           overlay of the base and of the data disk, where every change stays, /tmp included
//   /workspace  a directory of the data disk itself, as are those of containers below /var/lib;
//               but where an image has files of its own there, it is the overlay's
//   /run, /dev/shm                       in memory
//   /proc, /sys, /sys/fs/cgroup, /dev    the kernel's
class GuestRoot {
 public:
  // `file_systems` are those of PrepareFileSystems(); borrowed.
  explicit GuestRoot(const sys::UniqueFd& file_systems) : file_systems_(file_systems) {}

  // Mounts the data disk and all of the above, unless that is done. The error's message begins with
  // the step that failed, as for SetUpGuest.
  Status Enter();

  // The data disk's own directory, which no name reaches any more. Not valid before Enter().
  const sys::UniqueFd& data() const { return data_; }

  // True once: the workspace is a directory that was made by Enter(), and no command has used it.
  bool TakeNewWorkspace() { return std::exchange(new_workspace_, false); }

 private:
  Status EnterRoot();

  const sys::UniqueFd& file_systems_;
  sys::UniqueFd data_;
  bool new_workspace_ = false;
};

// Clock and entropy first, then the root and everything written to it. Once. `devices` tells when
// the data disk has the size that `setup` wants.
Status SetUpGuest(const wire::GuestSetup& setup, DeviceWatch& devices, GuestClock& clock,
                  GuestRoot& root);

}  // namespace pyro::agent
