#include "vmm/qemu/qemu_vmm.h"

#include <csignal>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/files.h"
#include "vmm/jail.h"
#include "vmm/qemu/argv.h"
#include "vmm/qemu/qemu_program.h"
#include "vmm/qemu/qmp_client.h"

namespace pyro::vmm::qemu {
namespace {

// Our ends of what a machine is connected with, and the ends to hand over.
struct Connections {
  sys::UniqueFd monitor;
  sys::UniqueFd channel;
  sys::UniqueFd console;
  std::vector<sys::UniqueFd> pass;
  DescriptorNumbers numbers;

  int Pass(sys::UniqueFd fd) {
    if (!fd.valid()) return -1;
    pass.push_back(std::move(fd));
    return 2 + static_cast<int>(pass.size());
  }
};

Result<Connections> Connect(MachineSpec& spec) {
  Connections all;
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair monitor, sys::MakeSocketPair());
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair channel, sys::MakeSocketPair());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe console, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(channel.first.get()));
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(console.read.get()));
  all.monitor = std::move(monitor.first);
  all.channel = std::move(channel.first);
  all.console = std::move(console.read);
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd kernel, MakeReopenable(std::move(spec.kernel)));
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd initrd, MakeReopenable(std::move(spec.initrd)));
  all.numbers.monitor = all.Pass(std::move(monitor.second));
  all.numbers.channel = all.Pass(std::move(channel.second));
  all.numbers.console = all.Pass(std::move(console.write));
  all.numbers.kernel = all.Pass(std::move(kernel));
  all.numbers.initrd = all.Pass(std::move(initrd));
  all.numbers.base_disk = all.Pass(std::move(spec.base_disk));
  all.numbers.data_disk = all.Pass(std::move(spec.data_disk));
  if (spec.network) all.numbers.network = all.Pass(std::move(spec.network->fd));
  return all;
}

class QemuMachine final : public Machine {
 public:
  QemuMachine(JailedProcess process, sys::UniqueFd monitor, sys::UniqueFd channel,
              sys::UniqueFd console)
      : process_(std::move(process)),
        monitor_(std::move(monitor)),
        channel_(std::move(channel)),
        console_(std::move(console)) {}

  Status Handshake(Deadline deadline) { return monitor_.Handshake(deadline); }
  std::string Diagnostics() { return process_.Diagnostics(); }

  sys::UniqueFd TakeGuestChannel() override { return std::move(channel_); }
  sys::UniqueFd TakeConsole() override { return std::move(console_); }
  int exit_fd() const override { return process_.exit_fd(); }
  pid_t process_id() const override { return process_.pid(); }

  Status Pause(Deadline deadline) override { return Command("stop", deadline); }
  Status Resume(Deadline deadline) override { return Command("cont", deadline); }
  Result<AcceleratorStatus> QueryAccelerator(Deadline deadline) override;
  void Kill() override;
  Result<MachineExit> Wait(Deadline deadline) override;

 private:
  Status Command(std::string_view command, Deadline deadline);
  MachineExit Explain(const sys::ExitStatus& status);

  JailedProcess process_;
  QmpClient monitor_;
  sys::UniqueFd channel_;
  sys::UniqueFd console_;
  std::string shutdown_reason_;  // Of the last SHUTDOWN event; empty before.
  std::optional<MachineExit> exit_;
};

Status QemuMachine::Command(std::string_view command, Deadline deadline) {
  PYRO_ASSIGN_OR_RETURN(const Json ignored, monitor_.Execute(command, Json(), deadline));
  static_cast<void>(ignored);
  static_cast<void>(process_.Diagnostics());
  return OkStatus();
}

Result<AcceleratorStatus> QemuMachine::QueryAccelerator(Deadline deadline) {
  PYRO_ASSIGN_OR_RETURN(const Json json, monitor_.Execute("query-kvm", Json(), deadline));
  AcceleratorStatus status;
  PYRO_ASSIGN_OR_RETURN(status.kvm_present, GetBool(json, "present"));
  PYRO_ASSIGN_OR_RETURN(status.kvm_enabled, GetBool(json, "enabled"));
  return status;
}

void QemuMachine::Kill() { process_.Kill(); }

// QEMU exits with 0 whether the guest turned itself off or fell over; the event before tells.
MachineExit QemuMachine::Explain(const sys::ExitStatus& status) {
  while (std::optional<QmpEvent> event = monitor_.TakeEvent()) {
    if (event->name != "SHUTDOWN") continue;
    Result<std::string> reason = GetString(event->data, "reason", 64);
    if (reason) shutdown_reason_ = *reason;
  }
  MachineExit exit = {.end = MachineEnd::kCrashed, .detail = {}, .diagnostics = Diagnostics()};
  if (status.signalled) {
    if (status.code == SIGKILL) exit.end = MachineEnd::kKilled;
    exit.detail = fmt::format("qemu was ended by signal {}", status.code);
  } else if (status.code != 0) {
    exit.detail = fmt::format("qemu exited with code {}", status.code);
  } else if (shutdown_reason_ == "guest-reset" || shutdown_reason_ == "guest-panic") {
    exit.end = MachineEnd::kReset;
    exit.detail = "the guest reset itself, as a kernel does after a panic";
  } else if (shutdown_reason_ == "guest-shutdown") {
    exit.end = MachineEnd::kPoweredOff;
    exit.detail = "the guest turned itself off";
  } else {
    exit.detail = fmt::format("qemu ended without the guest's asking ({})",
                              shutdown_reason_.empty() ? "no reason given" : shutdown_reason_);
  }
  return exit;
}

Result<MachineExit> QemuMachine::Wait(Deadline deadline) {
  if (exit_) return *exit_;
  PYRO_ASSIGN_OR_RETURN(const sys::ExitStatus status, process_.Wait(deadline));
  exit_ = Explain(status);
  return *exit_;
}

// What made a start fail, with what QEMU said about it, when it said something.
Error StartFailure(Error error, QemuMachine& machine) {
  if (error.code == ErrorCode::kGuestUnavailable) {
    // The monitor closes a moment before the process is gone.
    Result<MachineExit> exit = machine.Wait(Deadline::After(std::chrono::seconds(5)));
    error.message = "the machine did not start";
    if (exit) error.message += ": " + exit->detail;
  }
  const std::string said(TrimSpace(machine.Diagnostics()));
  if (!said.empty()) error.message += ": " + Printable(said, 1000);
  return error;
}

}  // namespace

Result<std::unique_ptr<QemuVmm>> QemuVmm::Create() {
  PYRO_ASSIGN_OR_RETURN(std::filesystem::path program, FindQemu());
  return std::unique_ptr<QemuVmm>(new QemuVmm(std::move(program)));
}

Result<std::unique_ptr<Machine>> QemuVmm::Start(MachineSpec spec, Deadline deadline) {
  PYRO_RETURN_IF_ERROR(ValidateSpec(spec));
  PYRO_ASSIGN_OR_RETURN(Connections connections, Connect(spec));
  TimeStampCounter tsc;
  if (spec.accelerator == Accelerator::kTcg) tsc.khz = MeasureTscKhz();
  QemuLaunch launch;
  launch.argv = MachineArguments(program_, spec, connections.numbers, tsc);
  launch.pass = std::move(connections.pass);
  launch.accelerator = spec.accelerator;
  launch.identity = spec.identity;
  PYRO_ASSIGN_OR_RETURN(JailedProcess process, LaunchQemu(std::move(launch), deadline));
  auto machine =
      std::make_unique<QemuMachine>(std::move(process), std::move(connections.monitor),
                                    std::move(connections.channel), std::move(connections.console));
  if (Status handshake = machine->Handshake(deadline); !handshake) {
    return StartFailure(std::move(handshake).error(), *machine);
  }
  return std::unique_ptr<Machine>(std::move(machine));
}

}  // namespace pyro::vmm::qemu
