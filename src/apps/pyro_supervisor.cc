// pyro-supervisor: owns one guest. Started by pyro, never by hand.

#include "base/time.h"
#include "supervisor/main.h"
#include "sys/process_state.h"
#include "vmm/factory.h"

int main() {
  pyro::sys::PrepareProgram();
  return pyro::supervisor::RunSupervisor(pyro::vmm::SystemVmm(), pyro::SystemClock());
}
