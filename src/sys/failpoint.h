// Named places where a test may kill this process, as a power cut or the kernel's memory killer
// could, or stop it for a while. The environment variables are read once per process:
//
//   PYRO_FAILPOINT=NAME          SIGKILL at the first pass of the place NAME
//   PYRO_FAILPOINT=NAME:3        at the third
//   PYRO_FAILPOINT_SIGNAL=STOP   SIGSTOP instead, until a SIGCONT arrives
//   PYRO_FAILPOINT_LOG=FILE      appends a line with the name at each pass of each place
//
// Without them a pass costs a test of one flag. A name occurs once in the sources, and
// tests/fault/failpoints.py must list it: the fault suite kills at every one.

#pragma once

namespace pyro::sys {

namespace internal {
bool FailpointsAreOn();
void ReachFailpoint(const char* name);
}  // namespace internal

}  // namespace pyro::sys

// Any thread. `name` is a string literal such as "task.create.row-inserted".
#define PYRO_FAILPOINT(name)                        \
  do {                                              \
    if (::pyro::sys::internal::FailpointsAreOn()) { \
      ::pyro::sys::internal::ReachFailpoint(name);  \
    }                                               \
  } while (false)
