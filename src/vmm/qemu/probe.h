// A tiny guest that only shows whether an accelerator works: the firmware image of probe_rom.S.

#pragma once

#include <filesystem>

#include "pyro/result.h"
#include "vmm/vmm.h"

namespace pyro::vmm::qemu {

// As Vmm::RunProbe(); `program` is QEMU. The time is that of QEMU's process from the guest's first
// sign to its last: QEMU's start does not count.
Result<ProbeOutcome> RunProbe(const std::filesystem::path& program, Accelerator accelerator,
                              const std::filesystem::path& kvm_device, ProbeLimits limits);

}  // namespace pyro::vmm::qemu
