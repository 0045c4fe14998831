// The part of Supervisor that starts its guest: from a template if there is one. If there is none,
// or if that fails, it boots.

#include <fcntl.h>

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/build_id.h"
#include "base/text.h"
#include "base/try.h"
#include "supervisor/supervisor.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/random.h"
#include "sys/sparse_copy.h"
#include "vmm/template.h"

namespace pyro::supervisor {
namespace {

using ErrorCodeOfAsio = boost::system::error_code;
using std::chrono::seconds;

constexpr seconds kGuestLaunchLimit{30};  // For QEMU to start and answer.
constexpr seconds kWarmLimit{30};  // For a guest from a template; a boot may then still be tried.
constexpr std::uint32_t kWarmUpChannel = 1;  // Free again before the first client's command.
constexpr seconds kTemplateDelay{2};  // Of idleness, before a template is made beside a guest.

// "pyro-" and the first characters behind the prefix of the id.
std::string HostName(const std::string& id) { return "pyro-" + id.substr(id.find('_') + 1, 8); }

}  // namespace

void Supervisor::StartGuest() {
  frozen_ = FindTemplate();
  warm_ = frozen_.has_value();
  Launch();
}

// A template is never the reason for an error: if it has any fault, the guest boots.
std::optional<vmm::FrozenGuest> Supervisor::FindTemplate() {
  if (config_.templ.directory.empty()) return std::nullopt;
  auto frozen = vmm::OpenTemplate(config_.templ.directory, config_.templ.key);
  if (frozen) return std::move(*frozen);
  template_is_bad_ = frozen.error().code == ErrorCode::kDataLoss;
  wants_template_ = true;
  return std::nullopt;
}

void Supervisor::Launch() {
  const seconds limit = warm_ ? kWarmLimit : config_.boot_timeout;
  boot_limit_->Start(limit, [this, limit] {
    if (phase_ != Phase::kStarting) return;
    GuestFailed(MakeError(ErrorCode::kGuestUnavailable,
                          fmt::format("the guest did not boot within {} s", limit.count()),
                          "give it more memory, or look for what keeps this host busy"));
  });
  Status status = LaunchMachine();
  // The agent has already said hello, to the maker of the template.
  if (status && warm_) SetUpGuest();
  if (!status) GuestFailed(status.error());
}

void Supervisor::StartCold() {
  warm_ = false;
  template_is_bad_ = true;
  wants_template_ = true;
  ErrorCodeOfAsio ignored;
  machine_exit_.close(ignored);
  if (agent_) agent_->Close();
  if (console_) console_->Close();
  machine_.reset();
  network_.reset();
  agent_greeted_ = false;
  warming_up_.reset();
  Say("boot");
  // The failed part may be on the stack.
  boost::asio::post(loop_, [this] {
    if (phase_ == Phase::kStarting) Launch();
  });
}

Result<vmm::MachineSpec> Supervisor::OpenMachineFiles() {
  vmm::MachineSpec spec;
  spec.vcpus = config_.vcpu_count;
  spec.memory_mib = config_.mem_mib;
  PYRO_ASSIGN_OR_RETURN(spec.accelerator, vmm::ParseAccelerator(config_.accelerator));
  spec.identity = config_.id;
  if (warm_) {
    spec.resume_from = std::exchange(frozen_, std::nullopt);
  } else {
    PYRO_ASSIGN_OR_RETURN(spec.kernel, sys::OpenFile(config_.kernel, O_RDONLY));
    PYRO_ASSIGN_OR_RETURN(spec.initrd, sys::OpenFile(config_.initrd, O_RDONLY));
  }
  PYRO_ASSIGN_OR_RETURN(spec.base_disk, sys::OpenFile(config_.base_disk, O_RDONLY));
  PYRO_ASSIGN_OR_RETURN(spec.data_disk, sys::OpenFile(config_.directory / "data.img", O_RDWR));
  if (spec.resume_from && spec.resume_from->disk.valid()) {
    disk_is_the_templates_ = true;
    PYRO_RETURN_IF_ERROR(sys::CopySparse(spec.resume_from->disk, spec.data_disk));
  } else if (std::exchange(disk_is_the_templates_, false)) {
    // A guest that did not start may have changed it.
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd blank, sys::OpenFile(config_.blank_disk, O_RDONLY));
    PYRO_RETURN_IF_ERROR(sys::CopySparse(blank, spec.data_disk));
  }
  return spec;
}

Status Supervisor::LaunchMachine() {
  PYRO_ASSIGN_OR_RETURN(vmm::MachineSpec spec, OpenMachineFiles());
  if (config_.network) {
    PYRO_ASSIGN_OR_RETURN(
        vmm::Network network,
        vmm::Network::Start(
            {.gate = config_.net_program, .identity = config_.id, .only = std::nullopt},
            Deadline::After(kGuestLaunchLimit)));
    network_.emplace(std::move(network));
    spec.network = network_->TakeCard();
  }
  PYRO_ASSIGN_OR_RETURN(machine_, vmm_.Start(std::move(spec), Deadline::After(kGuestLaunchLimit)));
  ready_.machine_at_us = std::chrono::duration_cast<std::chrono::microseconds>(
                             std::chrono::steady_clock::now().time_since_epoch())
                             .count();
  PYRO_FAILPOINT("supervisor.machine-launched");
  WatchMachine();
  PYRO_ASSIGN_OR_RETURN(console_, ConsoleLog::Start(loop_, machine_->TakeConsole(),
                                                    config_.directory / "console.log"));
  PYRO_ASSIGN_OR_RETURN(agent_, FrameStream::Create(loop_, machine_->TakeGuestChannel()));
  agent_->Start([this](wire::Frame frame) { return FromAgent(std::move(frame)); },
                [this](std::optional<Error> error) {
                  // An end of file comes with the machine's own end, which has the reason.
                  if (error) {
                    GuestFailed(MakeError(ErrorCode::kGuestUnavailable,
                                          "the guest broke the protocol: " + error->message,
                                          "nothing of this guest can be trusted; delete it"));
                  }
                });
  return OkStatus();
}

Status Supervisor::FromAgent(wire::Frame frame) {
  if (phase_ == Phase::kStopping || phase_ == Phase::kEnded) return OkStatus();
  if (frame.channel != 0) {
    if (warming_up_) return FromWarmUp(std::move(frame));
    if (phase_ == Phase::kReady) return router_.FromGuest(std::move(frame));
    return MakeError(ErrorCode::kProtocol, "a command's frame before any command");
  }
  switch (frame.type) {
    case wire::FrameType::kHello:
      return GreetAgent(frame);
    case wire::FrameType::kReady: {
      PYRO_ASSIGN_OR_RETURN(wire::Ready ready, wire::Ready::FromFrame(frame));
      if (!agent_greeted_ || phase_ != Phase::kStarting) {
        return MakeError(ErrorCode::kProtocol, "ready at the wrong time");
      }
      if (!waiting_) {
        GuestIsReady(std::move(ready));
      } else if (!warming_up_) {
        WarmUp(std::move(ready));
      }
      return OkStatus();
    }
    case wire::FrameType::kPong: {
      PYRO_ASSIGN_OR_RETURN(const wire::Ping answer, wire::Ping::FromFrame(frame));
      return pulse_.Answered(answer.number);
    }
    case wire::FrameType::kError:
      GuestFailed(MakeError(
          ErrorCode::kGuestUnavailable,
          "the guest could not start: " + Printable(wire::ErrorFromFrame(frame).message, 1000)));
      return OkStatus();
    default:
      return MakeError(ErrorCode::kProtocol, "an unexpected frame");
  }
}

Status Supervisor::GreetAgent(const wire::Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const wire::Hello hello, wire::Hello::FromFrame(frame));
  if (agent_greeted_) return MakeError(ErrorCode::kProtocol, "hello twice");
  if (hello.protocol != wire::kProtocolVersion || hello.build != BuildId()) {
    return MakeError(ErrorCode::kProtocol, fmt::format("the agent is of build '{}', not '{}'",
                                                       Printable(hello.build), BuildId()));
  }
  SetUpGuest();
  return OkStatus();
}

void Supervisor::SetUpGuest() {
  agent_greeted_ = true;
  PYRO_FAILPOINT("supervisor.agent-greeted");
  Say("setup");
  wire::Hello answer;
  answer.role = "supervisor";
  answer.build = BuildId();
  agent_->Send(EncodeFrame(answer.ToFrame()));
  wire::GuestSetup setup;
  setup.hostname = HostName(config_.id);
  setup.entropy = sys::RandomBytes(64);
  setup.wall_clock_ns = WallClockNs();
  setup.network = GuestNetwork();
  agent_->Send(EncodeFrame(setup.ToFrame()));
}

// A spare runs a command that does nothing before a client gets it: the first command takes long,
// above all if the CPU is emulated.
void Supervisor::WarmUp(wire::Ready ready) {
  warming_up_ = std::move(ready);
  wire::Exec exec;
  exec.argv = {"/bin/true"};
  exec.cwd = "/";
  agent_->Send(EncodeFrame(exec.ToFrame(kWarmUpChannel)));
  agent_->Send(wire::EncodeEof(kWarmUpChannel, wire::Stream::kStdin));
}

Status Supervisor::FromWarmUp(wire::Frame frame) {
  if (frame.channel != kWarmUpChannel) {
    return MakeError(ErrorCode::kProtocol, "a command's frame before any command");
  }
  // Any end will do: an environment need not have the program.
  if (frame.type == wire::FrameType::kExited || frame.type == wire::FrameType::kError) {
    GuestIsReady(*std::exchange(warming_up_, std::nullopt));
  }
  return OkStatus();
}

void Supervisor::GuestIsReady(wire::Ready ready) {
  phase_ = Phase::kReady;
  boot_limit_->Stop();
  SettleTemplate();
  ready_.kernel = Printable(ready.kernel, 100);
  ready_.execution_mode = "guest_virtio_serial";
  ready_.shell = std::move(ready.shell);
  ready_.accelerator = config_.accelerator;
  ready_.start = warm_ ? "template" : "boot";
  // The registry says that the VM is started before a client hears of it. After a failure the row
  // is out of date; the lock still says that this guest is alive.
  if (!config_.dies_with_first_client && !waiting_) {
    PYRO_FAILPOINT("supervisor.guest-ready");
    (void)record_.Started(ready_, GuestNetwork());
    PYRO_FAILPOINT("supervisor.start-recorded");
    if (!AwaitsOwner()) ArmLease(config_.ttl);  // As in the row.
  }
  (void)host_clock_.Changed(WallClockNs(), SteadyClockNs());
  ArmPulse();
  if (!waiting_) Broadcast(ready_.ToFrame());
  if (on_ready_) on_ready_();
  for (const ClientId client : router_.GuestReady(ready_.shell)) {
    const auto session = sessions_.find(client);
    if (session == sessions_.end()) continue;
    session->second->Refuse(MakeError(ErrorCode::kProtocol, "protocol violated"));
    ClientGone(client);
  }
  // No client waits for this row, and the commands are already on their way: the write may take
  // time.
  if (config_.dies_with_first_client) (void)record_.Started(ready_, GuestNetwork());
}

// The guest boots without it, so the template was at fault.
void Supervisor::SettleTemplate() {
  if (warm_) vmm::TouchTemplate(config_.templ.directory);
  if (template_is_bad_) (void)vmm::RemoveTemplate(config_.templ.directory);
  // A guest that ends with its first command has it made then: no client waits for that.
  if (wants_template_ && !config_.dies_with_first_client) MakeTemplateWhenIdle();
}

void Supervisor::MakeTemplateWhenIdle() {
  template_delay_->Start(kTemplateDelay, [this] {
    if (!wants_template_) return;
    if (router_.idle()) {
      MakeTemplateNow();
    } else {
      MakeTemplateWhenIdle();
    }
  });
}

void Supervisor::MakeTemplateNow() {
  if (!wants_template_ || ready_.kernel.empty()) return;  // None for a guest that does not boot.
  wants_template_ = false;
  helpers_.StartTemplateMaker(config_);
}

std::optional<wire::GuestNetwork> Supervisor::GuestNetwork() const {
  if (!network_) return std::nullopt;
  const vmm::GuestNetwork& guest = network_->guest();
  return wire::GuestNetwork{guest.mac,     guest.address,  guest.prefix,
                            guest.gateway, guest.resolver, guest.mtu};
}

}  // namespace pyro::supervisor
