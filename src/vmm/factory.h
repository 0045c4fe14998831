// The one place outside its folder that names a monitor.

#pragma once

#include "vmm/vmm.h"

namespace pyro::vmm {

// The monitors that this build of pyro runs guests under. `usermode_kernel`: the program that is
// the kernel of guests in user mode; it need not exist.
VmmFactory SystemVmm(std::filesystem::path usermode_kernel);

}  // namespace pyro::vmm
