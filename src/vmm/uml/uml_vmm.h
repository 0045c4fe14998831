// The Vmm that is a guest's kernel in user mode: a process of the host, in a jail, that runs the
// guest's programs on the host's own processor and takes each of their system calls.

#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "vmm/vmm.h"

namespace pyro::vmm::uml {

class UmlVmm final : public Vmm {
 public:
  // `kernel` is the program of RunProbe(); a machine has its own. kMissingTool: it is not there.
  static Result<std::unique_ptr<UmlVmm>> Create(std::filesystem::path kernel);

  std::filesystem::path program() const override { return kernel_; }
  Result<std::unique_ptr<Machine>> Start(MachineSpec spec, Deadline deadline) override;
  // Always kWrongState.
  Result<std::string> FrozenMachineKey(const MachineSpec& spec) const override;
  // A guest that boots and turns itself off.
  Result<ProbeOutcome> RunProbe(Accelerator accelerator, const std::filesystem::path& kvm_device,
                                ProbeLimits limits) const override;

 private:
  explicit UmlVmm(std::filesystem::path kernel) : kernel_(std::move(kernel)) {}

  std::filesystem::path kernel_;
};

}  // namespace pyro::vmm::uml
