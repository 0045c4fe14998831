// The system calls that the kernel of a guest in user mode may make: the seccomp filter of its
// jail. The table is in make_filter.cc; the build turns it into what the host's kernel takes.

#pragma once

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::vmm::uml {

// A file with the filter, for JailSpec::filter.
Result<sys::UniqueFd> OpenFilter();

}  // namespace pyro::vmm::uml
