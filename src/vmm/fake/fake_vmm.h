// A Vmm without a machine: the test plays the guest. It keeps the promises of vmm.h and passes the
// same contract suite as the real ones.

#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/vmm.h"

namespace pyro::vmm {

struct FakeState;

// The guest's side of one fake machine. Stays usable after the machine is gone.
class FakeGuest {
 public:
  explicit FakeGuest(std::shared_ptr<FakeState> state) : state_(std::move(state)) {}

  // The other end of the guest channel, blocking. Borrowed; closed when the machine ends.
  int channel() const;

  // Appears on the console; text that does not fit the pipe is dropped.
  void PrintToConsole(std::string_view text);

  // Ends the machine in this way. A machine that has ended is no error.
  void End(MachineEnd end, std::string diagnostics = {});

  // From now on the monitor does not answer: calls with a deadline time out.
  void HangMonitor();

  // What its machine has taken of the processor.
  void UseProcessor(std::chrono::seconds time);

  bool paused() const;
  bool ended() const;

 private:
  std::shared_ptr<FakeState> state_;
};

class FakeVmm final : public Vmm {
 public:
  // The next Start() fails with this error.
  void RefuseNextStart(Error error) { refusal_ = std::move(error); }

  std::filesystem::path program() const override { return "/fake/vmm"; }
  Result<std::unique_ptr<Machine>> Start(MachineSpec spec, Deadline deadline) override;
  // The same on every host.
  Result<std::string> FrozenMachineKey(const MachineSpec& spec) const override;
  // Comes out right at once.
  Result<ProbeOutcome> RunProbe(Accelerator accelerator, const std::filesystem::path& kvm_device,
                                ProbeLimits limits) const override;

  // One for each successful Start(), oldest first.
  const std::vector<FakeGuest>& guests() const { return guests_; }
  // The specification of the last Start(), with its descriptors.
  const MachineSpec& last_spec() const { return last_spec_; }

 private:
  std::optional<Error> refusal_;
  std::vector<FakeGuest> guests_;
  MachineSpec last_spec_;
};

}  // namespace pyro::vmm
