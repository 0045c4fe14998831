#include "vmm/fake/fake_vmm.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/wait_for.h"

namespace pyro::vmm {

struct FakeState {
  sys::UniqueFd guest_channel;  // The guest's end.
  sys::UniqueFd console_write;
  sys::UniqueFd exit_event;  // An eventfd, readable once ended: what a pidfd is to a process.
  bool paused = false;
  bool hung = false;
  std::chrono::seconds processor{0};
  std::optional<MachineExit> exit;

  void End(MachineEnd end, std::string diagnostics) {
    if (exit) return;
    exit = MachineExit{.end = end,
                       .detail = "the fake machine " + std::string(MachineEndName(end)),
                       .diagnostics = std::move(diagnostics)};
    guest_channel.Reset();
    console_write.Reset();
    const std::uint64_t one = 1;
    static_cast<void>(!::write(exit_event.get(), &one, sizeof one));
  }
};

namespace {

constexpr std::string_view kFrozenState = "frozen fake";

class FakeMachine final : public Machine {
 public:
  FakeMachine(std::shared_ptr<FakeState> state, sys::UniqueFd channel, sys::UniqueFd console,
              Accelerator accelerator, std::optional<FreezeFiles> freeze_to)
      : state_(std::move(state)),
        channel_(std::move(channel)),
        console_(std::move(console)),
        accelerator_(accelerator),
        freeze_to_(std::move(freeze_to)) {}
  ~FakeMachine() override { Kill(); }

  sys::UniqueFd TakeGuestChannel() override { return std::move(channel_); }
  sys::UniqueFd TakeConsole() override { return std::move(console_); }
  int exit_fd() const override { return state_->exit_event.get(); }
  pid_t jail_process_id() const override { return -1; }

  Status Pause(Deadline deadline) override {
    PYRO_RETURN_IF_ERROR(Answer(deadline));
    state_->paused = true;
    return OkStatus();
  }

  Status Resume(Deadline deadline) override {
    PYRO_RETURN_IF_ERROR(Answer(deadline));
    state_->paused = false;
    return OkStatus();
  }

  Status Freeze(Deadline deadline) override {
    PYRO_RETURN_IF_ERROR(Answer(deadline));
    if (!freeze_to_) {
      return MakeError(ErrorCode::kWrongState, "the fake machine was not started to be frozen");
    }
    state_->paused = true;
    PYRO_RETURN_IF_ERROR(sys::WriteAll(freeze_to_->memory.get(), "memory"));
    return sys::WriteAll(freeze_to_->state.get(), kFrozenState);
  }

  Result<AcceleratorStatus> QueryAccelerator(Deadline deadline) override {
    PYRO_RETURN_IF_ERROR(Answer(deadline));
    return AcceleratorStatus{.kvm_present = accelerator_ == Accelerator::kKvm,
                             .in_use = accelerator_};
  }

  MachineLook Look() const override {
    return {.monitor = "the fake monitor", .processor = state_->processor};
  }

  void Kill() override { state_->End(MachineEnd::kKilled, {}); }

  Result<MachineExit> Wait(Deadline deadline) override {
    WaitForExit(deadline);
    if (state_->exit) return *state_->exit;
    return MakeError(ErrorCode::kTimedOut, "the fake machine is still running");
  }

 private:
  void WaitForExit(Deadline deadline) { (void)sys::WaitFor(exit_fd(), POLLIN, deadline); }

  // The checks of every call to a monitor before its own work.
  Status Answer(Deadline deadline) {
    if (state_->hung && !state_->exit) WaitForExit(deadline);
    if (state_->exit) {
      return MakeError(ErrorCode::kGuestUnavailable, "the fake machine has ended");
    }
    if (state_->hung) return MakeError(ErrorCode::kTimedOut, "the fake monitor did not answer");
    return OkStatus();
  }

  std::shared_ptr<FakeState> state_;
  sys::UniqueFd channel_;
  sys::UniqueFd console_;
  Accelerator accelerator_;
  std::optional<FreezeFiles> freeze_to_;
};

}  // namespace

int FakeGuest::channel() const { return state_->guest_channel.get(); }

void FakeGuest::PrintToConsole(std::string_view text) {
  if (!state_->console_write.valid()) return;
  static_cast<void>(!::write(state_->console_write.get(), text.data(), text.size()));
}

void FakeGuest::End(MachineEnd end, std::string diagnostics) {
  state_->End(end, std::move(diagnostics));
}

void FakeGuest::UseProcessor(std::chrono::seconds time) { state_->processor = time; }
void FakeGuest::HangMonitor() { state_->hung = true; }
bool FakeGuest::paused() const { return state_->paused; }
bool FakeGuest::ended() const { return state_->exit.has_value(); }

Result<std::unique_ptr<Machine>> FakeVmm::Start(MachineSpec spec, Deadline) {
  PYRO_RETURN_IF_ERROR(ValidateSpec(spec));
  if (refusal_) return *std::exchange(refusal_, std::nullopt);
  if (spec.resume_from) {
    auto state = sys::ReadAll(spec.resume_from->state.get(), 4096);
    if (!state || *state != kFrozenState) {
      return MakeError(ErrorCode::kGuestUnavailable, "the fake machine cannot read the state");
    }
  }
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair channel, sys::MakeSocketPair());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe console, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(channel.first.get()));
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(console.read.get()));
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(console.write.get()));
  auto state = std::make_shared<FakeState>();
  state->guest_channel = std::move(channel.second);
  state->console_write = std::move(console.write);
  state->exit_event = sys::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->exit_event.valid()) return sys::ErrnoError(errno, "eventfd");
  guests_.emplace_back(state);
  const Accelerator accelerator = spec.accelerator;
  std::optional<FreezeFiles> freeze_to = std::move(spec.freeze_to);
  spec.freeze_to.reset();
  last_spec_ = std::move(spec);
  return std::unique_ptr<Machine>(
      std::make_unique<FakeMachine>(std::move(state), std::move(channel.first),
                                    std::move(console.read), accelerator, std::move(freeze_to)));
}

Result<std::string> FakeVmm::FrozenMachineKey(const MachineSpec& spec) const {
  return fmt::format("fake {} {} {} {}\n", spec.vcpus, spec.memory_mib, Name(spec.accelerator),
                     spec.network ? "network" : "");
}

Result<ProbeOutcome> FakeVmm::RunProbe(Accelerator, const std::filesystem::path&,
                                       ProbeLimits) const {
  return ProbeOutcome{.correct = true, .processor = std::chrono::milliseconds(1), .failure = {}};
}

}  // namespace pyro::vmm
