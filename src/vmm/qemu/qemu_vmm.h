// The Vmm that is QEMU, in a jail.

#pragma once

#include <filesystem>
#include <memory>

#include "vmm/vmm.h"

namespace pyro::vmm::qemu {

class QemuVmm final : public Vmm {
 public:
  // kMissingTool: QEMU is not installed.
  static Result<std::unique_ptr<QemuVmm>> Create();

  Result<std::unique_ptr<Machine>> Start(MachineSpec spec, Deadline deadline) override;

 private:
  explicit QemuVmm(std::filesystem::path program) : program_(std::move(program)) {}

  std::filesystem::path program_;
};

}  // namespace pyro::vmm::qemu
