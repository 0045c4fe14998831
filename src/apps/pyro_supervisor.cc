// pyro-supervisor: owns one guest. Started by pyro, never by hand.

#include <filesystem>

#include "base/time.h"
#include "supervisor/main.h"
#include "sys/clock_steps.h"
#include "sys/host.h"
#include "sys/process_state.h"
#include "vmm/factory.h"

int main() {
  pyro::sys::PrepareProgram();
  const auto programs = pyro::sys::ProgramDirectory();
  const std::filesystem::path kernel =
      programs ? *programs / "pyro-usermode-kernel" : std::filesystem::path();
  return pyro::supervisor::RunSupervisor(
      pyro::vmm::SystemVmm(kernel),
      {.clock = pyro::SystemClock(), .open_steps = &pyro::sys::OpenClockSteps});
}
