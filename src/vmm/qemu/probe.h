// A tiny guest that only shows whether an accelerator works: the firmware image of probe_rom.S.

#pragma once

#include <chrono>
#include <filesystem>

#include "pyro/result.h"
#include "vmm/vmm.h"

namespace pyro::vmm::qemu {

// As Vmm::RunProbe(); `program` is QEMU.
Result<ProbeOutcome> RunProbe(const std::filesystem::path& program, Accelerator accelerator,
                              const std::filesystem::path& kvm_device,
                              std::chrono::milliseconds limit);

}  // namespace pyro::vmm::qemu
