// pyro-supervisor on ProcessVmm: the real supervisor, whose guests are processes of this host. Only
// in the build directory, under a name of its own folder that PYRO_LIBEXEC_DIR has to point at.
// A file "haste" beside it holds a number: what the supervisor waits for is so many times shorter.

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/time.h"
#include "supervisor/main.h"
#include "sys/clock_steps.h"
#include "sys/files.h"
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
  const auto text = pyro::sys::ReadFile(*programs / "haste", 100);
  const int haste = text ? std::max(std::atoi(text->c_str()), 1) : 1;  // NOLINT(cert-err34-c)
  return pyro::supervisor::RunSupervisor(
      factory, {.clock = pyro::SystemClock(), .open_steps = &pyro::sys::OpenClockSteps}, haste);
}
