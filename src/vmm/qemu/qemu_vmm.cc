#include "vmm/qemu/qemu_vmm.h"

#include <algorithm>
#include <csignal>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"
#include "jail/jail.h"
#include "sys/files.h"
#include "vmm/qemu/argv.h"
#include "vmm/qemu/probe.h"
#include "vmm/qemu/qemu_program.h"
#include "vmm/qemu/qmp_client.h"

namespace pyro::vmm::qemu {
namespace {

// Our ends of a machine's connections, and the ends for QEMU.
struct Connections {
  sys::UniqueFd monitor;
  sys::UniqueFd channel;
  sys::UniqueFd console;
  sys::UniqueFd freeze_to;  // Handed over when the time has come.
  std::vector<sys::UniqueFd> pass;
  std::vector<jail::JailSpec::Alias> bound;
  MachineFiles files;

  int Pass(sys::UniqueFd fd) {
    if (!fd.valid()) return -1;
    pass.push_back(std::move(fd));
    return 2 + static_cast<int>(pass.size());
  }

  // A file that many guests share, and that no guest may change.
  FileAccess Share(sys::UniqueFd fd, const char* name) {
    if (!fd.valid()) return {};
    if (auto path = jail::BindablePath(fd.get())) {
      bound.push_back({.source = std::move(*path), .target = std::string("/vm/") + name});
      return {.descriptor = -1, .path = bound.back().target};
    }
    return {.descriptor = Pass(std::move(fd)), .path = {}};
  }
};

void ConnectMemory(MachineSpec& spec, Connections& all) {
  if (spec.freeze_to) {
    // QEMU opens it once more, perhaps as a user that does not own it. The directory keeps other
    // users away.
    all.files.memory = {.descriptor = all.Pass(std::move(spec.freeze_to->memory)), .path = {}};
    all.freeze_to = std::move(spec.freeze_to->state);
  } else if (spec.resume_from) {
    all.files.memory = all.Share(std::move(spec.resume_from->memory), "memory");
    all.files.state = all.Pass(std::move(spec.resume_from->state));
  }
}

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
  all.files.monitor = all.Pass(std::move(monitor.second));
  all.files.channel = all.Pass(std::move(channel.second));
  all.files.console = all.Pass(std::move(console.write));
  if (!spec.resume_from) {
    PYRO_ASSIGN_OR_RETURN(sys::UniqueFd kernel, jail::MakeReopenable(std::move(spec.kernel)));
    PYRO_ASSIGN_OR_RETURN(sys::UniqueFd initrd, jail::MakeReopenable(std::move(spec.initrd)));
    all.files.kernel = all.Share(std::move(kernel), "kernel");
    all.files.initrd = all.Share(std::move(initrd), "initrd");
  }
  all.files.base_disk = all.Share(std::move(spec.base_disk), "base");
  all.files.data_disk = all.Pass(std::move(spec.data_disk));
  if (spec.network) all.files.network = all.Pass(std::move(spec.network->fd));
  int layer = 0;
  for (sys::UniqueFd& disk : spec.layer_disks) {
    all.files.layer_disks.push_back(
        all.Share(std::move(disk), fmt::format("layer-{}", ++layer).c_str()));
  }
  ConnectMemory(spec, all);
  return all;
}

class QemuMachine final : public Machine {
 public:
  // `processor` is what the guest sees, for people.
  QemuMachine(jail::JailedProcess process, std::string processor, sys::UniqueFd monitor,
              sys::UniqueFd channel, sys::UniqueFd console, sys::UniqueFd freeze_to)
      : process_(std::move(process)),
        processor_(std::move(processor)),
        monitor_(std::move(monitor)),
        channel_(std::move(channel)),
        console_(std::move(console)),
        freeze_to_(std::move(freeze_to)) {}

  Status Handshake(Deadline deadline) { return monitor_.Handshake(deadline); }
  // Reads the state of a frozen guest and lets it go on.
  Status Thaw(int state, Deadline deadline);
  // Tells the guest that its data disk, which has that size already, has it.
  Status TellDataDiskSize(std::int64_t bytes, Deadline deadline);
  std::string Diagnostics() { return process_.Diagnostics(); }

  sys::UniqueFd TakeGuestChannel() override { return std::move(channel_); }
  sys::UniqueFd TakeConsole() override { return std::move(console_); }
  int exit_fd() const override { return process_.exit_fd(); }
  pid_t jail_process_id() const override { return process_.jail_pid(); }

  Status Pause(Deadline deadline) override { return Command("stop", deadline); }
  Status Resume(Deadline deadline) override { return Command("cont", deadline); }
  Status Freeze(Deadline deadline) override;
  Result<AcceleratorStatus> QueryAccelerator(Deadline deadline) override;
  MachineLook Look() const override {
    return {.monitor = fmt::format("QEMU {} ({})", monitor_.version(), processor_),
            .processor = process_.ProcessorTime()};
  }
  void Kill() override;
  Result<MachineExit> Wait(Deadline deadline) override;

 private:
  Status Command(std::string_view command, Deadline deadline);
  Status SetCapabilities(const std::vector<std::string_view>& names, Deadline deadline);
  MachineExit Explain(const sys::ExitStatus& status);

  jail::JailedProcess process_;
  std::string processor_;
  QmpClient monitor_;
  sys::UniqueFd channel_;
  sys::UniqueFd console_;
  sys::UniqueFd freeze_to_;      // The file for the state; not valid: none.
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
  PYRO_ASSIGN_OR_RETURN(const bool enabled, GetBool(json, "enabled"));
  if (enabled) status.in_use = Accelerator::kKvm;
  return status;
}

Status QemuMachine::SetCapabilities(const std::vector<std::string_view>& names, Deadline deadline) {
  Json list = Json::array();
  for (const std::string_view name : names) list.push_back({{"capability", name}, {"state", true}});
  PYRO_ASSIGN_OR_RETURN(
      const Json ignored,
      monitor_.Execute("migrate-set-capabilities", {{"capabilities", std::move(list)}}, deadline));
  static_cast<void>(ignored);
  return OkStatus();
}

// QEMU calls it a migration. `x-ignore-shared`: memory in a file of its own is left out.
Status QemuMachine::Freeze(Deadline deadline) {
  if (!freeze_to_.valid()) {
    return MakeError(ErrorCode::kWrongState, "the machine was not started to be frozen");
  }
  PYRO_RETURN_IF_ERROR(SetCapabilities({"x-ignore-shared", "events"}, deadline));
  // QEMU takes the file that it writes to by a name for a descriptor, not by its number.
  PYRO_RETURN_IF_ERROR(
      monitor_.ExecuteWithDescriptor("getfd", {{"fdname", "state"}}, freeze_to_.get(), deadline));
  PYRO_RETURN_IF_ERROR(monitor_.Execute("migrate", {{"uri", "fd:state"}}, deadline));
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const QmpEvent event, monitor_.AwaitEvent("MIGRATION", deadline));
    PYRO_ASSIGN_OR_RETURN(const std::string status, GetString(event.data, "status", 64));
    if (status == "completed") return OkStatus();
    if (status == "failed" || status == "cancelled") {
      return MakeError(ErrorCode::kInternal, "qemu could not write the guest's state");
    }
  }
}

Status QemuMachine::Thaw(int state, Deadline deadline) {
  PYRO_RETURN_IF_ERROR(SetCapabilities({"x-ignore-shared"}, deadline));
  PYRO_ASSIGN_OR_RETURN(
      const Json ignored,
      monitor_.Execute("migrate-incoming", {{"uri", fmt::format("fd:{}", state)}}, deadline));
  static_cast<void>(ignored);
  // It ran when it was frozen, so it runs once its state is read.
  PYRO_ASSIGN_OR_RETURN(const QmpEvent running, monitor_.AwaitEvent("RESUME", deadline));
  static_cast<void>(running);
  return OkStatus();
}

// QEMU sets the file's size, which changes nothing, and has the device say so. Without that the
// guest's kernel goes by the size of the disk that it was frozen with.
Status QemuMachine::TellDataDiskSize(std::int64_t bytes, Deadline deadline) {
  PYRO_RETURN_IF_ERROR(
      monitor_.Execute("block_resize", {{"node-name", "data"}, {"size", bytes}}, deadline));
  return OkStatus();
}

void QemuMachine::Kill() { process_.Kill(); }

// QEMU exits with 0 both after a power-off and after a crash of the guest; the event before
// differs.
MachineExit QemuMachine::Explain(const sys::ExitStatus& status) {
  while (std::optional<QmpEvent> event = monitor_.TakeEvent()) {
    if (event->name != "SHUTDOWN") continue;
    Result<std::string> reason = GetString(event->data, "reason", 64);
    if (reason) shutdown_reason_ = *reason;
  }
  MachineExit exit = {.end = MachineEnd::kCrashed, .detail = {}, .diagnostics = Diagnostics()};
  if (status.signalled) {
    if (status.code == SIGKILL) exit.end = MachineEnd::kKilled;
    exit.detail = process_.EndedForMemory()
                      ? std::string(kEndedForMemory)
                      : fmt::format("qemu was ended by signal {}", status.code);
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

// Of a command line, for people.
std::string ProcessorOf(const std::vector<std::string>& argv, Accelerator accelerator) {
  const auto at = std::find(argv.begin(), argv.end(), "-cpu");
  return fmt::format("{}, processor {}", Name(accelerator), *(at + 1));
}

// The reason for a failed start, with QEMU's own words if there are any.
Error StartFailure(Error error, QemuMachine& machine) {
  if (error.code == ErrorCode::kGuestUnavailable) {
    // The monitor closes a moment before the process is gone.
    Result<MachineExit> exit = machine.Wait(Deadline::After(std::chrono::seconds(5)));
    error.message = "the machine did not start";
    if (exit) error.message += ": " + exit->detail;
  }
  const std::string said(TrimSpace(machine.Diagnostics()));
  if (!said.empty()) error.message += ": " + PrintableLines(said);
  return error;
}

}  // namespace

Result<std::unique_ptr<QemuVmm>> QemuVmm::Create() {
  PYRO_ASSIGN_OR_RETURN(std::filesystem::path program, FindQemu());
  return std::unique_ptr<QemuVmm>(new QemuVmm(std::move(program)));
}

Result<std::unique_ptr<Machine>> QemuVmm::Start(MachineSpec spec, Deadline deadline) {
  PYRO_RETURN_IF_ERROR(ValidateSpec(spec));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t new_size, NewDataDiskSize(spec));
  PYRO_ASSIGN_OR_RETURN(Connections connections, Connect(spec));
  HostFacts host{.threads = ThreadsFor(program_, spec)};
  if (spec.accelerator == Accelerator::kTcg && !spec.resume_from) host.tsc_khz = MeasureTscKhz();
  QemuLaunch launch;
  launch.argv = MachineArguments(program_, spec, connections.files, host);
  std::string processor = ProcessorOf(launch.argv, spec.accelerator);
  launch.pass = std::move(connections.pass);
  launch.files = std::move(connections.bound);
  launch.accelerator = spec.accelerator;
  launch.identity = spec.identity;
  launch.vcpus = spec.vcpus;
  launch.memory_mib = spec.memory_mib;
  if (spec.resume_from) launch.private_memory = connections.files.memory.OpenPath();
  PYRO_ASSIGN_OR_RETURN(jail::JailedProcess process, LaunchQemu(std::move(launch), deadline));
  auto machine = std::make_unique<QemuMachine>(
      std::move(process), std::move(processor), std::move(connections.monitor),
      std::move(connections.channel), std::move(connections.console),
      std::move(connections.freeze_to));
  Status started = machine->Handshake(deadline);
  if (started && spec.resume_from) started = machine->Thaw(connections.files.state, deadline);
  if (started && new_size != 0) started = machine->TellDataDiskSize(new_size, deadline);
  if (!started) return StartFailure(std::move(started).error(), *machine);
  return std::unique_ptr<Machine>(std::move(machine));
}

Result<std::string> QemuVmm::FrozenMachineKey(const MachineSpec& spec) const {
  return qemu::FrozenMachineKey(program_, spec);
}

Result<ProbeOutcome> QemuVmm::RunProbe(Accelerator accelerator,
                                       const std::filesystem::path& kvm_device,
                                       ProbeLimits limits) const {
  return qemu::RunProbe(program_, accelerator, kvm_device, limits);
}

}  // namespace pyro::vmm::qemu
