#include "supervisor/guest_machine.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "downloads/store.h"
#include "net/addresses.h"
#include "supervisor/base_disks.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/sparse_copy.h"

namespace pyro::supervisor {
namespace {

using std::chrono::seconds;

constexpr seconds kGuestLaunchLimit{30};  // For QEMU to start and answer.
constexpr seconds kClosedLimit{10};       // For a machine to end after its channel.
constexpr int kDenialsAtOnce = 256;

// NAME:PORT and spaces.
Result<std::vector<net::ServedHost>> HostsIn(std::string_view text) {
  std::vector<net::ServedHost> hosts;
  for (const std::string_view word : Split(text, ' ')) {
    if (word.empty()) continue;
    PYRO_ASSIGN_OR_RETURN(net::ServedHost host, net::ParseServedHost(word));
    hosts.push_back(std::move(host));
  }
  return hosts;
}

// The hosts that go through the proxy, each once.
Result<std::vector<net::ServedHost>> ServedBy(const wire::SupervisorConfig& config) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<proxy::Secret> secrets, proxy::ToSecrets(config.secrets));
  std::vector<net::ServedHost> served;
  for (const proxy::Secret& secret : secrets) {
    for (const net::ServedHost& host : secret.hosts) {
      if (std::find(served.begin(), served.end(), host) == served.end()) served.push_back(host);
    }
  }
  PYRO_ASSIGN_OR_RETURN(const std::vector<net::ServedHost> downloads,
                        HostsIn(config.download_hosts));
  for (const net::ServedHost& host : downloads) {
    if (std::find(served.begin(), served.end(), host) == served.end()) served.push_back(host);
  }
  return served;
}

// Each allow rule is for a host and port of the proxy: nothing else needs a way out.
bool IsServedAlone(const net::Policy& policy, const std::vector<net::ServedHost>& served) {
  if (!policy.closed()) return false;
  return std::all_of(policy.rules().begin(), policy.rules().end(), [&](const net::Rule& rule) {
    const net::ServedHost host{rule.name, rule.port};
    return !rule.allow || (rule.kind == net::Rule::Kind::kName &&
                           std::find(served.begin(), served.end(), host) != served.end());
  });
}

Result<sys::UniqueFd> OpenDisk(const std::filesystem::path& file) {
  auto disk = sys::OpenRegularFile(file, O_RDWR);
  if (!disk && disk.error().code == ErrorCode::kNotFound) {
    Error error = std::move(disk).error();
    error.hint = "the disk of this guest was removed: put it back, or delete the task or VM";
    return error;
  }
  return disk;
}

}  // namespace

Result<vmm::MachineSpec> GuestMachine::OpenFiles(std::optional<vmm::FrozenGuest> from) {
  vmm::MachineSpec spec;
  spec.vcpus = config_.vcpu_count;
  spec.memory_mib = config_.mem_mib;
  PYRO_ASSIGN_OR_RETURN(spec.accelerator, vmm::ParseAccelerator(config_.accelerator));
  spec.identity = config_.id;
  spec.resume_from = std::move(from);
  if (!spec.resume_from) {
    PYRO_ASSIGN_OR_RETURN(spec.kernel, sys::OpenRegularFile(config_.kernel, O_RDONLY));
    PYRO_ASSIGN_OR_RETURN(spec.initrd, sys::OpenRegularFile(config_.initrd, O_RDONLY));
  }
  PYRO_RETURN_IF_ERROR(OpenBaseDisks(config_, spec));
  PYRO_ASSIGN_OR_RETURN(spec.data_disk, OpenDisk(config_.directory / "data.img"));
  if (spec.resume_from && spec.resume_from->disk.valid()) {
    disk_is_the_templates_ = true;
    PYRO_RETURN_IF_ERROR(sys::CopySparse(spec.resume_from->disk, spec.data_disk));
  } else if (std::exchange(disk_is_the_templates_, false)) {
    // A guest that did not start may have changed it.
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd blank,
                          sys::OpenRegularFile(config_.blank_disk, O_RDONLY));
    PYRO_RETURN_IF_ERROR(sys::CopySparse(blank, spec.data_disk));
  }
  PYRO_ASSIGN_OR_RETURN(new_disk_size_, vmm::NewDataDiskSize(spec));
  return spec;
}

Status GuestMachine::Launch(std::optional<vmm::FrozenGuest> from) {
  PYRO_ASSIGN_OR_RETURN(vmm::MachineSpec spec, OpenFiles(std::move(from)));
  if (config_.network) PYRO_RETURN_IF_ERROR(StartNetwork(spec));
  PYRO_ASSIGN_OR_RETURN(machine_, vmm_.Start(std::move(spec), Deadline::After(kGuestLaunchLimit)));
  started_at_us_ = std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::steady_clock::now().time_since_epoch())
                       .count();
  PYRO_FAILPOINT("supervisor.machine-launched");
  WatchExit();
  return Connect();
}

Status GuestMachine::StartNetwork(vmm::MachineSpec& spec) {
  PYRO_ASSIGN_OR_RETURN(net::Policy policy, net::Policy::Parse(network_rules_));
  PYRO_ASSIGN_OR_RETURN(const std::vector<net::ServedHost> served, ServedBy(config_));
  if (!served.empty()) PYRO_RETURN_IF_ERROR(StartProxy(policy, served));
  // The rules of a task may change while its guest runs.
  const bool isolated = config_.kind == wire::GuestKind::kVm && IsServedAlone(policy, served);
  PYRO_ASSIGN_OR_RETURN(net::Network network,
                        net::Network::Start({.gate = config_.net_program,
                                             .identity = config_.id,
                                             .form = vmm::FrameFormOf(spec.accelerator),
                                             .policy = std::move(policy),
                                             .only = std::nullopt,
                                             .served = served,
                                             .proxy = proxy_ ? proxy_->gate_socket() : -1,
                                             .isolated = isolated},
                                            Deadline::After(kGuestLaunchLimit)));
  network_.emplace(std::move(network));
  if (proxy_) proxy_->CloseGateSocket();
  spec.network = network_->TakeCard();
  boost::system::error_code error;
  denials_.assign(::fcntl(network_->denials_fd(), F_DUPFD_CLOEXEC, 3), error);
  PYRO_CHECK(!error);
  WatchDenials();
  return OkStatus();
}

Status GuestMachine::SetNetworkRules(const std::string& rules) {
  PYRO_ASSIGN_OR_RETURN(net::Policy policy, net::Policy::Parse(rules));
  PYRO_ASSIGN_OR_RETURN(const auto downloads, HostsIn(config_.download_hosts));
  std::vector<net::ServedHost> only_cached;
  for (const net::ServedHost& host : downloads) {
    if (policy.AskName(host.name, host.port) != net::Reason::kNone) only_cached.push_back(host);
  }
  // The rules of the row do not have the hosts of downloads, which each start finds again.
  if (policy.closed()) {
    for (const net::ServedHost& host : downloads) {
      PYRO_ASSIGN_OR_RETURN(const net::Rule rule,
                            net::ParseRule(true, net::FormatServedHost(host)));
      PYRO_RETURN_IF_ERROR(policy.Add(rule));
    }
  }
  if (network_) PYRO_RETURN_IF_ERROR(network_->SetPolicy(policy));
  // One that has ended is told already, and connects to nothing.
  if (proxy_) (void)proxy_->SetPolicy(policy, only_cached);
  network_rules_ = policy.Format();
  return OkStatus();
}

Status GuestMachine::StartProxy(const net::Policy& policy,
                                const std::vector<net::ServedHost>& served) {
  proxy::ProxyOptions options{.program = config_.proxy_program, .identity = config_.id};
  options.config.secrets = config_.secrets;
  options.config.orders = {.policy = policy, .local = net::NetworksOfHost(), .served = served};
  if (!config_.download_routes.empty()) {
    options.identity = downloads::kJailIdentity;
    options.config.downloads = {.routes = config_.download_routes,
                                .only_cached = config_.only_cached,
                                .max_bytes = config_.downloads_max_bytes};
    PYRO_ASSIGN_OR_RETURN(options.downloads,
                          sys::OpenFile(config_.downloads_directory, O_RDONLY | O_DIRECTORY));
  }
  PYRO_ASSIGN_OR_RETURN(
      proxy::Proxy proxy,
      proxy::Proxy::Start(std::move(options), Deadline::After(kGuestLaunchLimit)));
  proxy_.emplace(std::move(proxy));
  boost::system::error_code error;
  proxy_says_.assign(::fcntl(proxy_->denials_fd(), F_DUPFD_CLOEXEC, 3), error);
  PYRO_CHECK(!error);
  WatchProxy();
  return OkStatus();
}

void GuestMachine::WatchProxy() {
  proxy_says_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [this](boost::system::error_code failure) {
                           if (failure || !proxy_) return;
                           TakeProxyDenials();
                           if (proxy_says_.is_open()) WatchProxy();
                         });
}

void GuestMachine::TakeProxyDenials() {
  for (int i = 0; i < kDenialsAtOnce && proxy_ && proxy_says_.is_open(); ++i) {
    const auto denial = proxy_->ReadDenial();
    if (!denial) {
      boost::system::error_code ignored;
      proxy_says_.close(ignored);
      // The guest goes on, and each of its connections to these hosts ends at once.
      const auto served = ServedBy(config_);
      if (!served || served->empty()) return;
      owner_.Denied({.reason = proxy_->HowItEnded(),
                     .protocol = "tcp",
                     .name = served->front().name,
                     .port = served->front().port});
      return;
    }
    if (!*denial) return;
    owner_.Denied(**denial);
  }
}

void GuestMachine::WatchDenials() {
  denials_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [this](boost::system::error_code failure) {
                        if (failure || !network_) return;
                        TakeDenials();
                        if (denials_.is_open()) WatchDenials();
                      });
}

void GuestMachine::TakeDenials() {
  TakeProxyDenials();
  // Bounded: more may come while these are read.
  for (int i = 0; i < kDenialsAtOnce && network_ && denials_.is_open(); ++i) {
    const auto denial = network_->ReadDenial();
    if (!denial) {
      // The gate has ended, or says what none of ours would: it is not listened to any more.
      boost::system::error_code ignored;
      denials_.close(ignored);
      const net::Reason reason = network_->HowItEnded();
      if (reason == net::Reason::kNone) return;
      owner_.Denied({.reason = reason, .protocol = "other", .name = {}, .address = net::kGateway});
      return;
    }
    if (!*denial) return;
    owner_.Denied(**denial);
  }
}

Status GuestMachine::Connect() {
  PYRO_ASSIGN_OR_RETURN(console_, ConsoleLog::Start(loop_, machine_->TakeConsole(),
                                                    config_.directory / "console.log"));
  PYRO_ASSIGN_OR_RETURN(agent_, FrameStream::Create(loop_, machine_->TakeGuestChannel()));
  agent_->Start([this](wire::Frame frame) { return owner_.FromAgent(std::move(frame)); },
                [this](std::optional<Error> error) {
                  // An end of file comes with the machine's own end, which has the reason. A guest
                  // without a channel that runs on would hold its clients up for ever.
                  if (!error) {
                    return closed_->Start(kClosedLimit, [this] { owner_.ChannelClosed(); });
                  }
                  owner_.GuestFailed(MakeError(ErrorCode::kGuestUnavailable,
                                               "the guest broke the protocol: " + error->message,
                                               "nothing of this guest can be trusted; delete it"));
                });
  return OkStatus();
}

void GuestMachine::WatchExit() {
  boost::system::error_code error;
  exit_.assign(::fcntl(machine_->exit_fd(), F_DUPFD_CLOEXEC, 3), error);
  PYRO_CHECK(!error);
  exit_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                   [this](boost::system::error_code failure) {
                     if (!failure && machine_) owner_.MachineEnded();
                   });
}

void GuestMachine::Send(std::string bytes) {
  if (agent_) agent_->Send(std::move(bytes));
}

void GuestMachine::Kill() {
  if (machine_) machine_->Kill();
}

void GuestMachine::Drop() {
  boost::system::error_code ignored;
  exit_.close(ignored);
  denials_.close(ignored);
  proxy_says_.close(ignored);
  closed_->Stop();
  if (agent_) agent_->Close();
  machine_.reset();
  network_.reset();
  proxy_.reset();
}

void GuestMachine::Close() {
  Drop();
  if (console_) console_->Close();
}

std::string GuestMachine::HowItEnded() {
  auto exit = machine_->Wait(Deadline::After(seconds(1)));
  if (!exit) return exit.error().message;
  if (exit->diagnostics.empty()) return exit->detail;
  return exit->detail + ": " + LastLines(exit->diagnostics, 4);
}

std::string GuestMachine::WithConsole(std::string message) const {
  const std::string tail = console_ ? console_->Tail() : "";
  if (!tail.empty()) message += "; the end of its console:\n" + tail;
  return message;
}

std::optional<wire::GuestNetwork> GuestMachine::network() const {
  if (!network_) return std::nullopt;
  const net::GuestNetwork& guest = network_->guest();
  return wire::GuestNetwork{guest.mac,      guest.address, guest.prefix,   guest.gateway,
                            guest.resolver, guest.mtu,     guest.address6, guest.gateway6};
}

}  // namespace pyro::supervisor
