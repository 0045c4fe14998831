// pyro-supervisor: owns one guest. Started by pyro, never by hand.

#include "base/time.h"
#include "supervisor/main.h"
#include "vmm/factory.h"

int main() { return pyro::supervisor::RunSupervisor(pyro::vmm::SystemVmm(), pyro::SystemClock()); }
