// The end of the guest.

#pragma once

namespace pyro::agent {

// Kills every process, writes everything to the disks, leaves the file systems clean and switches
// the machine off. Only for PID 1.
[[noreturn]] void PowerOff();

}  // namespace pyro::agent
