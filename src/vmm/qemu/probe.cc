#include "vmm/qemu/probe.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"
#include "jail/jail.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "vmm/qemu/argv.h"
#include "vmm/qemu/qemu_program.h"

// The firmware image of probe_rom.S.
extern "C" {
extern const char pyro_vmm_probe_rom[];      // NOLINT: a symbol of probe_rom.S
extern const char pyro_vmm_probe_rom_end[];  // NOLINT
}

namespace pyro::vmm::qemu {
namespace {

using std::chrono::milliseconds;

constexpr int kCorrectExit = 0x2a * 2 + 1;  // As probe_rom.S and isa-debug-exit make it.

Result<sys::UniqueFd> ProbeFirmware() {
  sys::UniqueFd file(::memfd_create("probe", MFD_CLOEXEC));
  if (!file.valid()) return sys::ErrnoError(errno, "memfd_create");
  const auto size = static_cast<std::size_t>(pyro_vmm_probe_rom_end - pyro_vmm_probe_rom);
  PYRO_RETURN_IF_ERROR(sys::WriteAll(file.get(), std::string_view(pyro_vmm_probe_rom, size)));
  if (::fchmod(file.get(), 0444) != 0) return sys::ErrnoError(errno, "fchmod");
  return file;
}

}  // namespace

Result<ProbeOutcome> RunProbe(const std::filesystem::path& program, Accelerator accelerator,
                              const std::filesystem::path& kvm_device, milliseconds limit) {
  using Clock = std::chrono::steady_clock;
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd firmware, ProbeFirmware());
  QemuLaunch launch;
  launch.argv = ProbeArguments(program, accelerator, 3);
  launch.pass.push_back(std::move(firmware));
  launch.accelerator = accelerator;
  launch.kvm_device = kvm_device;
  launch.identity = "accelerator probe";

  const Clock::time_point start = Clock::now();
  const Deadline deadline = Deadline::After(limit);
  ProbeOutcome outcome;
  Result<jail::JailedProcess> process = LaunchQemu(std::move(launch), deadline);
  if (!process) {
    if (process.error().code == ErrorCode::kMissingTool) return std::move(process).error();
    outcome.failure = "did not start: " + process.error().message;
    return outcome;
  }
  Result<sys::ExitStatus> status = process->Wait(deadline);
  outcome.duration = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
  if (!status) {
    outcome.failure = fmt::format("did not finish within {} ms", limit.count());
  } else if (!status->signalled && status->code == kCorrectExit) {
    outcome.correct = true;
  } else {
    const std::string said = PrintableLines(process->Diagnostics(), 300);
    outcome.failure =
        fmt::format("ended wrongly ({} {}{}{})", status->signalled ? "signal" : "code",
                    status->code, said.empty() ? "" : ": ", said);
  }
  return outcome;
}

}  // namespace pyro::vmm::qemu
