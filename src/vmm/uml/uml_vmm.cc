#include "vmm/uml/uml_vmm.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"
#include "jail/jail.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/wait_for.h"
#include "vmm/uml/argv.h"
#include "vmm/uml/filter.h"
#include "vmm/uml/processes.h"

// In probe_blob.S: an initramfs that turns its guest off.
extern "C" const char kUsermodeProbe[];
extern "C" const char kUsermodeProbeEnd[];

namespace pyro::vmm::uml {
namespace {

constexpr char kKernelInside[] = "/vm/linux";
constexpr char kInitrdInside[] = "/vm/initrd";
constexpr char kBaseInside[] = "/vm/base";
// Of the guest's memory file, for the kernel itself and what it tries out at its start.
constexpr std::uint64_t kSpareMemoryBytes = 64 << 20;
constexpr std::uint64_t kProcessesBytes = 512 << 20;
constexpr int kMostProcesses = 8192;

// Our ends of a machine's connections, and all that its jail needs.
struct KernelConnections {
  sys::UniqueFd channel;
  sys::UniqueFd console;
  jail::JailSpec cell;
  KernelFiles files;

  int Pass(sys::UniqueFd fd) {
    if (!fd.valid()) return -1;
    cell.pass.push_back(std::move(fd));
    return 2 + static_cast<int>(cell.pass.size());
  }
};

// Where it can be, guests share its pages with each other.
Status ShareKernel(sys::UniqueFd kernel, jail::JailSpec& cell) {
  auto path = jail::BindablePath(kernel.get());
  if (!path) path = jail::PublicProgram(kernel.get());
  if (path) {
    cell.aliases.push_back({.source = std::move(*path), .target = kKernelInside});
    return OkStatus();
  }
  PYRO_ASSIGN_OR_RETURN(cell.program, jail::MakeReopenable(std::move(kernel)));
  return OkStatus();
}

// A file that many guests share, and that no guest may change: bound at `inside`, or a descriptor
// whose path begins with `prefix`.
Result<std::string> ShareFile(sys::UniqueFd file, const char* inside, const char* prefix,
                              KernelConnections& all) {
  if (!file.valid()) return std::string();
  if (auto path = jail::BindablePath(file.get())) {
    all.cell.aliases.push_back({.source = std::move(*path), .target = inside});
    return std::string(inside);
  }
  return fmt::format("{}{}", prefix, all.Pass(std::move(file)));
}

Result<KernelConnections> UsermodeConnections(MachineSpec& spec) {
  KernelConnections all;
  const std::uint64_t memory = std::uint64_t(spec.memory_mib) << 20;
  struct stat disk {};
  if (spec.data_disk.valid() && ::fstat(spec.data_disk.get(), &disk) != 0) {
    return sys::ErrnoError(errno, "stat");
  }
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair channel, sys::MakeSocketPair());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe console, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(channel.first.get()));
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(console.read.get()));
  all.channel = std::move(channel.first);
  all.console = std::move(console.read);
  all.files.channel = all.Pass(std::move(channel.second));
  all.files.console = all.Pass(std::move(console.write));
  PYRO_ASSIGN_OR_RETURN(all.files.base_disk,
                        ShareFile(std::move(spec.base_disk), kBaseInside, "@", all));
  all.files.data_disk = all.Pass(std::move(spec.data_disk));
  int layer = 0;
  for (sys::UniqueFd& one : spec.layer_disks) {
    const std::string inside = fmt::format("{}-{}", kBaseInside, ++layer);
    PYRO_ASSIGN_OR_RETURN(std::string path, ShareFile(std::move(one), inside.c_str(), "@", all));
    all.files.layer_disks.push_back(std::move(path));
  }
  if (spec.network) all.files.network = all.Pass(std::move(spec.network->fd));
  PYRO_RETURN_IF_ERROR(ShareKernel(std::move(spec.kernel), all.cell));
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd initrd, jail::MakeReopenable(std::move(spec.initrd)));
  PYRO_ASSIGN_OR_RETURN(all.files.initrd,
                        ShareFile(std::move(initrd), kInitrdInside, "/proc/self/fd/", all));
  PYRO_ASSIGN_OR_RETURN(all.cell.filter, OpenFilter());
  all.cell.argv = KernelArguments(kKernelInside, spec, all.files);
  // Some C libraries register memory that the kernel's processes do not have.
  all.cell.env = {std::string("TMPDIR=") + jail::kJailMemory,
                  "GLIBC_TUNABLES=glibc.pthread.rseq=0"};
  all.cell.is_static = true;
  all.cell.is_pid_1 = false;  // It ends itself by a signal when it panics.
  // The kernel counts the gap before its heap as the guest's memory: up to 1 GiB, if it is random.
  all.cell.random_addresses = false;
  all.cell.memory_bytes = memory + kSpareMemoryBytes;
  all.cell.max_file_bytes =
      std::max(all.cell.memory_bytes, static_cast<std::uint64_t>(disk.st_size));
  all.cell.identity = spec.identity;
  // Each program of the guest is a process of the host, with page tables there.
  all.cell.bounds = {.memory_bytes = memory + memory / 2 + kProcessesBytes,
                     .processes = kMostProcesses,
                     .cpu_percent = 200,
                     .niceness = kGuestNiceness};
  return all;
}

class UmlMachine final : public Machine {
 public:
  UmlMachine(jail::JailedProcess process, sys::UniqueFd channel, sys::UniqueFd console)
      : process_(std::move(process)), channel_(std::move(channel)), console_(std::move(console)) {}

  sys::UniqueFd TakeGuestChannel() override { return std::move(channel_); }
  sys::UniqueFd TakeConsole() override { return std::move(console_); }
  int exit_fd() const override { return process_.exit_fd(); }
  pid_t jail_process_id() const override { return process_.jail_pid(); }

  Status Pause(Deadline deadline) override;
  Status Resume(Deadline deadline) override;
  Status Freeze(Deadline deadline) override;
  Result<AcceleratorStatus> QueryAccelerator(Deadline deadline) override;
  MachineLook Look() const override {
    return {.monitor = "a kernel in user mode", .processor = process_.ProcessorTime()};
  }
  void Kill() override { process_.Kill(); }
  Result<MachineExit> Wait(Deadline deadline) override;

 private:
  Status StillRuns() const;

  jail::JailedProcess process_;
  sys::UniqueFd channel_;
  sys::UniqueFd console_;
  std::optional<MachineExit> exit_;
};

Status UmlMachine::StillRuns() const {
  if (!sys::IsReady(exit_fd())) return OkStatus();
  return MakeError(ErrorCode::kGuestUnavailable, "the machine has ended");
}

// A program of the guest that computes would go on without its kernel. SIGALRM stops it, because it
// is traced; the kernel takes that for its own timer when it goes on.
Status UmlMachine::Pause(Deadline deadline) {
  while (true) {
    PYRO_RETURN_IF_ERROR(StillRuns());
    const auto guest = FindGuestProcesses(process_.jail_pid());
    if (guest && IsStopped(guest->kernel)) {
      for (const pid_t program : guest->programs) ::kill(program, SIGALRM);
      return OkStatus();
    }
    if (guest) ::kill(guest->kernel, SIGSTOP);
    if (deadline.Expired()) return MakeError(ErrorCode::kTimedOut, "the guest does not stop");
    sys::WaitFor(exit_fd(), POLLIN, Deadline::After(std::chrono::milliseconds(1)));
  }
}

Status UmlMachine::Resume(Deadline) {
  PYRO_RETURN_IF_ERROR(StillRuns());
  if (const auto guest = FindGuestProcesses(process_.jail_pid())) ::kill(guest->kernel, SIGCONT);
  return OkStatus();
}

Status UmlMachine::Freeze(Deadline) {
  PYRO_RETURN_IF_ERROR(StillRuns());
  return MakeError(ErrorCode::kWrongState, "a guest in user mode cannot be frozen");
}

Result<AcceleratorStatus> UmlMachine::QueryAccelerator(Deadline) {
  PYRO_RETURN_IF_ERROR(StillRuns());
  return AcceleratorStatus{.kvm_present = false, .in_use = Accelerator::kUsermode};
}

MachineExit ExplainExit(const sys::ExitStatus& status) {
  MachineExit exit;
  if (!status.signalled && status.code == 0) {
    exit.end = MachineEnd::kPoweredOff;
    exit.detail = "the guest turned itself off";
  } else if ((!status.signalled && status.code == kRestartExitCode) ||
             (status.signalled && status.code == SIGABRT)) {
    exit.end = MachineEnd::kReset;
    exit.detail = "the guest reset itself, as a kernel does after a panic";
  } else if (status.signalled) {
    if (status.code == SIGKILL) exit.end = MachineEnd::kKilled;
    exit.detail = fmt::format("the guest's kernel was ended by signal {}", status.code);
    if (status.code == SIGSYS) exit.detail += ", for a system call that it may not make";
  } else {
    exit.detail = fmt::format("the guest's kernel exited with code {}", status.code);
  }
  return exit;
}

Result<MachineExit> UmlMachine::Wait(Deadline deadline) {
  if (exit_) return *exit_;
  PYRO_ASSIGN_OR_RETURN(const sys::ExitStatus status, process_.Wait(deadline));
  exit_ = ExplainExit(status);
  if (exit_->end == MachineEnd::kKilled && process_.EndedForMemory()) {
    exit_->detail = kEndedForMemory;
  }
  exit_->diagnostics = process_.Diagnostics();
  return *exit_;
}

}  // namespace

Result<std::unique_ptr<UmlVmm>> UmlVmm::Create(std::filesystem::path kernel) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(kernel, error)) {
    return MakeError(ErrorCode::kMissingTool, "there is no kernel for guests in user mode",
                     "install pyro's package, or in a clone: make usermode");
  }
  return std::unique_ptr<UmlVmm>(new UmlVmm(std::move(kernel)));
}

Result<std::unique_ptr<Machine>> UmlVmm::Start(MachineSpec spec, Deadline deadline) {
  spec.accelerator = Accelerator::kUsermode;
  PYRO_RETURN_IF_ERROR(ValidateSpec(spec));
  if (spec.freeze_to || spec.resume_from) {
    return MakeError(ErrorCode::kWrongState, "a guest in user mode cannot be frozen");
  }
  PYRO_ASSIGN_OR_RETURN(KernelConnections all, UsermodeConnections(spec));
  PYRO_ASSIGN_OR_RETURN(jail::JailedProcess process,
                        jail::JailedProcess::Spawn(std::move(all.cell), deadline));
  return std::unique_ptr<Machine>(std::make_unique<UmlMachine>(
      std::move(process), std::move(all.channel), std::move(all.console)));
}

Result<std::string> UmlVmm::FrozenMachineKey(const MachineSpec&) const {
  return MakeError(ErrorCode::kWrongState, "a guest in user mode cannot be frozen");
}

Result<ProbeOutcome> UmlVmm::RunProbe(Accelerator, const std::filesystem::path&,
                                      ProbeLimits limits) const {
  MachineSpec spec;
  spec.memory_mib = static_cast<int>(kMinMemMib);
  spec.identity = "user mode probe";
  PYRO_ASSIGN_OR_RETURN(spec.kernel, sys::OpenRegularFile(kernel_, O_RDONLY));
  PYRO_ASSIGN_OR_RETURN(
      spec.initrd, sys::MakeMemoryFile({kUsermodeProbe, static_cast<std::size_t>(kUsermodeProbeEnd -
                                                                                 kUsermodeProbe)}));
  const Deadline deadline = Deadline::After(limits.patience);
  ProbeOutcome outcome;
  UmlVmm starter(kernel_);
  Result<std::unique_ptr<Machine>> machine = starter.Start(std::move(spec), deadline);
  if (!machine) return std::move(machine).error();
  const Result<MachineExit> exit = (*machine)->Wait(deadline);
  if (!exit) {
    outcome.out_of_patience = true;
    outcome.failure = fmt::format("did not finish within {} ms", limits.patience.count());
  } else if (exit->end == MachineEnd::kPoweredOff) {
    outcome.correct = true;
  } else {
    const std::string said = PrintableLines(exit->diagnostics, 300);
    outcome.failure =
        fmt::format("ended wrongly ({}{}{})", exit->detail, said.empty() ? "" : ": ", said);
  }
  return outcome;
}

}  // namespace pyro::vmm::uml
