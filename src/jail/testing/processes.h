// Processes as a test sees them from outside of their jails.

#pragma once

#include <sys/types.h>

namespace pyro::jail {

// The first child of `parent`; -1: it has none. By way of all processes: not every kernel lists
// them.
pid_t ChildOf(pid_t parent);

}  // namespace pyro::jail
