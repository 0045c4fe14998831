// pyro-supervisor on ProcessVmm: the real supervisor, whose guests are processes of this host. Only
// in the build directory, under a name of its own folder that PYRO_LIBEXEC_DIR has to point at.

#include "base/check.h"
#include "base/time.h"
#include "supervisor/main.h"
#include "sys/clock_steps.h"
#include "sys/host.h"
#include "vmm/fake/process_vmm.h"

int main() {
  using pyro::vmm::ProcessVmm;
  using pyro::vmm::Vmm;
  const auto programs = pyro::sys::ProgramDirectory();
  PYRO_CHECK(programs.ok());
  const pyro::vmm::VmmFactory factory = {
      .name = "process",
      .create = [&](pyro::vmm::Accelerator) -> pyro::Result<std::unique_ptr<Vmm>> {
        return std::unique_ptr<Vmm>(std::make_unique<ProcessVmm>(*programs / "pyro-guest-on-host"));
      }};
  return pyro::supervisor::RunSupervisor(
      factory, {.clock = pyro::SystemClock(), .open_steps = &pyro::sys::OpenClockSteps});
}
