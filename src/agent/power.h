// The end of the guest.

#pragma once

#include "sys/unique_fd.h"

namespace pyro::agent {

// Kills every process, writes everything to the disks, leaves the file systems clean and switches
// the machine off. Only for PID 1. `data_disk`: a directory of the data disk, open for reading.
[[noreturn]] void PowerOff(const sys::UniqueFd& data_disk);

}  // namespace pyro::agent
