// The one place outside its folder that names a monitor.

#pragma once

#include "vmm/vmm.h"

namespace pyro::vmm {

// The monitor that this build of pyro runs guests under.
VmmFactory SystemVmm();

}  // namespace pyro::vmm
