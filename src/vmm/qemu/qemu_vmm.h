// The Vmm that is QEMU, in a jail.

#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "vmm/vmm.h"

namespace pyro::vmm::qemu {

class QemuVmm final : public Vmm {
 public:
  // kMissingTool: QEMU is not installed.
  static Result<std::unique_ptr<QemuVmm>> Create();

  std::filesystem::path program() const override { return program_; }
  Result<std::unique_ptr<Machine>> Start(MachineSpec spec, Deadline deadline) override;
  Result<std::string> FrozenMachineKey(const MachineSpec& spec) const override;
  Result<ProbeOutcome> RunProbe(Accelerator accelerator, const std::filesystem::path& kvm_device,
                                ProbeLimits limits) const override;

 private:
  explicit QemuVmm(std::filesystem::path program) : program_(std::move(program)) {}

  std::filesystem::path program_;
};

}  // namespace pyro::vmm::qemu
