// A Vmm whose guests are processes of this host: a program plays the guest, with a channel and a
// console as a guest has them. It keeps the promises of vmm.h and passes the same contract suite as
// the real one. Nothing is kept from the program: it is for tests alone.

#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "vmm/vmm.h"

namespace pyro::vmm {

// What the program that plays the guest finds open. /dev/null stands for what its machine lacks.
inline constexpr int kProcessGuestChannel = 3;  // A stream socket, non-blocking.
inline constexpr int kProcessGuestConsole = 4;  // The writing end of a pipe.
inline constexpr int kProcessGuestKernel = 5;   // MachineSpec::kernel.
inline constexpr int kProcessGuestDisk = 6;     // MachineSpec::data_disk.

// Its exit codes. Any other is a crash.
inline constexpr int kProcessGuestPoweredOff = 0;
inline constexpr int kProcessGuestReset = 10;

// Its argument: it starts, or goes on where a guest was frozen that had booted.
inline constexpr char kProcessGuestBoots[] = "boots";
inline constexpr char kProcessGuestGoesOn[] = "goes-on";

class ProcessVmm final : public Vmm {
 public:
  // `guest` is the program.
  explicit ProcessVmm(std::filesystem::path guest) : guest_(std::move(guest)) {}

  std::filesystem::path program() const override { return guest_; }
  Result<std::unique_ptr<Machine>> Start(MachineSpec spec, Deadline deadline) override;
  Result<std::string> FrozenMachineKey(const MachineSpec& spec) const override;
  Result<ProbeOutcome> RunProbe(Accelerator accelerator, const std::filesystem::path& kvm_device,
                                ProbeLimits limits) const override;

 private:
  std::filesystem::path guest_;
};

}  // namespace pyro::vmm
