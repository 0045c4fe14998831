// The disks of a guest's environment.

#pragma once

#include "pyro/result.h"
#include "vmm/vmm.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// Opens them, and tells the agent by a word of the kernel's command line how many layers there are.
Status OpenBaseDisks(const wire::SupervisorConfig& config, vmm::MachineSpec& spec);

}  // namespace pyro::supervisor
