#include "vmm/fake/process_vmm.h"

#include <fcntl.h>
#include <sys/wait.h>

#include <csignal>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "sys/child_process.h"
#include "sys/files.h"
#include "sys/wait_for.h"

namespace pyro::vmm {
namespace {

constexpr std::string_view kProcessFrozenState = "frozen process";

class ProcessMachine final : public Machine {
 public:
  ProcessMachine(sys::ChildProcess process, sys::UniqueFd channel, sys::UniqueFd console,
                 Accelerator accelerator, std::optional<FreezeFiles> freeze_to)
      : process_(std::move(process)),
        channel_(std::move(channel)),
        console_(std::move(console)),
        accelerator_(accelerator),
        freeze_to_(std::move(freeze_to)) {}

  sys::UniqueFd TakeGuestChannel() override { return std::move(channel_); }
  sys::UniqueFd TakeConsole() override { return std::move(console_); }
  int exit_fd() const override { return process_.exit_fd(); }
  pid_t jail_process_id() const override { return process_.pid(); }
  MachineLook Look() const override { return {.monitor = "a process", .processor = {}}; }

  Status Pause(Deadline deadline) override {
    PYRO_RETURN_IF_ERROR(Runs());
    if (std::exchange(paused_, true)) return OkStatus();
    PYRO_RETURN_IF_ERROR(process_.Signal(SIGSTOP));
    while (true) {
      siginfo_t info{};
      const auto pid = static_cast<id_t>(process_.pid());
      if (::waitid(P_PID, pid, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid != 0) break;
      constexpr std::chrono::milliseconds kLookAgain{1};
      if (sys::WaitFor(exit_fd(), POLLIN, Deadline::After(kLookAgain)) == sys::Waited::kReady) {
        return Runs();
      }
      if (deadline.Expired()) return MakeError(ErrorCode::kTimedOut, "the guest does not stop");
    }
    return OkStatus();
  }

  Status Resume(Deadline) override {
    PYRO_RETURN_IF_ERROR(Runs());
    paused_ = false;
    return process_.Signal(SIGCONT);
  }

  Status Freeze(Deadline deadline) override {
    PYRO_RETURN_IF_ERROR(Runs());
    if (!freeze_to_) {
      return MakeError(ErrorCode::kWrongState, "the machine was not started to be frozen");
    }
    PYRO_RETURN_IF_ERROR(Pause(deadline));
    PYRO_RETURN_IF_ERROR(sys::WriteAll(freeze_to_->memory.get(), "memory"));
    return sys::WriteAll(freeze_to_->state.get(), kProcessFrozenState);
  }

  Result<AcceleratorStatus> QueryAccelerator(Deadline) override {
    PYRO_RETURN_IF_ERROR(Runs());
    return AcceleratorStatus{.kvm_present = accelerator_ == Accelerator::kKvm,
                             .in_use = accelerator_};
  }

  void Kill() override { (void)process_.Signal(SIGKILL); }

  Result<MachineExit> Wait(Deadline deadline) override {
    PYRO_ASSIGN_OR_RETURN(const sys::ExitStatus status, process_.Wait(deadline));
    MachineExit exit;
    exit.end = MachineEnd::kCrashed;
    if (status.signalled && status.code == SIGKILL) exit.end = MachineEnd::kKilled;
    if (!status.signalled && status.code == kProcessGuestPoweredOff) {
      exit.end = MachineEnd::kPoweredOff;
    }
    if (!status.signalled && status.code == kProcessGuestReset) exit.end = MachineEnd::kReset;
    exit.detail = fmt::format("the guest's process ended with {} {}",
                              status.signalled ? "signal" : "code", status.code);
    return exit;
  }

 private:
  Status Runs() const {
    if (!sys::IsReady(exit_fd())) return OkStatus();
    return MakeError(ErrorCode::kGuestUnavailable, "the machine has ended");
  }

  sys::ChildProcess process_;
  sys::UniqueFd channel_;
  sys::UniqueFd console_;
  Accelerator accelerator_;
  std::optional<FreezeFiles> freeze_to_;
  bool paused_ = false;
};

Result<sys::UniqueFd> OrNull(sys::UniqueFd file) {
  if (file.valid()) return file;
  return sys::OpenFile("/dev/null", O_RDWR);
}

}  // namespace

Result<std::unique_ptr<Machine>> ProcessVmm::Start(MachineSpec spec, Deadline) {
  PYRO_RETURN_IF_ERROR(ValidateSpec(spec));
  if (spec.resume_from) {
    const auto state = sys::ReadAll(spec.resume_from->state.get(), 4096);
    if (!state || *state != kProcessFrozenState) {
      return MakeError(ErrorCode::kGuestUnavailable, "the machine cannot read the state");
    }
  }
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair channel, sys::MakeSocketPair());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe console, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(channel.first.get()));
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(channel.second.get()));
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(console.read.get()));
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd kernel, OrNull(std::move(spec.kernel)));
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd disk, OrNull(std::move(spec.data_disk)));
  sys::SpawnOptions options;
  options.argv = {guest_.native(), spec.resume_from ? kProcessGuestGoesOn : kProcessGuestBoots};
  options.env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"};
  options.own_pid_namespace = true;  // With it ends all that it has started.
  options.pass.push_back(std::move(channel.second));
  options.pass.push_back(std::move(console.write));
  options.pass.push_back(std::move(kernel));
  options.pass.push_back(std::move(disk));
  PYRO_ASSIGN_OR_RETURN(sys::ChildProcess process, sys::ChildProcess::Spawn(std::move(options)));
  return std::unique_ptr<Machine>(std::make_unique<ProcessMachine>(
      std::move(process), std::move(channel.first), std::move(console.read), spec.accelerator,
      std::move(spec.freeze_to)));
}

Result<std::string> ProcessVmm::FrozenMachineKey(const MachineSpec& spec) const {
  return fmt::format("process {} {}\n", spec.vcpus, spec.memory_mib);
}

Result<ProbeOutcome> ProcessVmm::RunProbe(Accelerator, const std::filesystem::path&,
                                          ProbeLimits) const {
  return ProbeOutcome{.correct = true, .processor = std::chrono::milliseconds(1), .failure = {}};
}

}  // namespace pyro::vmm
