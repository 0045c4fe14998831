// The processes of a guest in user mode, as the host sees them.

#pragma once

#include <sys/types.h>

#include <vector>

#include "pyro/result.h"

namespace pyro::vmm::uml {

struct GuestProcesses {
  pid_t kernel = -1;
  std::vector<pid_t> programs;  // One for each address space of the guest; the kernel traces them.
};

// By the pid of the guest's jail. kNotFound: its kernel has not started, or has ended.
Result<GuestProcesses> FindGuestProcesses(pid_t jail);

// True if the process is stopped by a signal.
bool IsStopped(pid_t process);

}  // namespace pyro::vmm::uml
