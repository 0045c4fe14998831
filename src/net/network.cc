#include "net/network.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"
#include "jail/confine.h"
#include "net/addresses.h"
#include "net/bytes.h"
#include "net/control.h"
#include "net/frame_end.h"
#include "net/frames.h"
#include "net/neighbours.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/wait_for.h"

namespace pyro::net {
namespace {

constexpr char kGateInside[] = "/pyro-net";
constexpr std::size_t kMaxSaid = 16 * 1024;
constexpr std::uint64_t kGateMemoryBytes = 256 * 1024 * 1024;
constexpr std::uint64_t kGateFilesBytes = 1024 * 1024;
// Behind its answer over IPv4, that over IPv6 is late or does not come.
constexpr std::chrono::milliseconds kIpv6Limit{300};

// Locally administered, in the range that QEMU uses, the same for the same guest.
Mac MacFor(std::string_view identity) {
  std::uint32_t hash = 2166136261u;
  for (const char c : identity) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return {0x52,
          0x54,
          0x00,
          static_cast<std::uint8_t>(hash >> 16),
          static_cast<std::uint8_t>(hash >> 8),
          static_cast<std::uint8_t>(hash)};
}

GuestNetwork NetworkFor(const Mac& mac, bool ipv6) {
  return {.mac = fmt::format("{:02x}", fmt::join(mac, ":")),
          .address = kGuestText,
          .prefix = kPrefix,
          .gateway = kGatewayText,
          .resolver = kResolverText,
          .mtu = kMtu,
          .address6 = ipv6 ? kGuest6Text : "",
          .gateway6 = ipv6 ? kGateway6Text : ""};
}

// The real place of the resolvers' addresses; /etc/resolv.conf is often a link out of /etc.
std::filesystem::path ResolverFile() {
  std::error_code error;
  std::filesystem::path real = std::filesystem::canonical("/etc/resolv.conf", error);
  return error ? std::filesystem::path() : real;
}

Result<sys::UniqueFd> DuplicateOf(int fd) {
  sys::UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return sys::ErrnoError(errno, "fcntl");
  return copy;
}

Result<jail::JailedProcess> StartGate(const NetworkOptions& options, const char* mode,
                                      std::vector<sys::UniqueFd> pass, jail::JailNetwork network,
                                      Deadline deadline) {
  jail::JailSpec spec;
  spec.argv = {kGateInside, mode, options.form == vmm::FrameForm::kPackets ? "packets" : "stream"};
  if (options.proxy >= 0) {
    spec.argv.emplace_back("proxy");
    PYRO_ASSIGN_OR_RETURN(sys::UniqueFd proxy, DuplicateOf(options.proxy));
    pass.push_back(std::move(proxy));
    // For sockets without a name outside: one for each host that is served.
    spec.memory_bytes = kGateFilesBytes;
  }
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd program, sys::OpenFile(options.gate, O_RDONLY));
  PYRO_ASSIGN_OR_RETURN(spec.program, jail::MakeReopenable(std::move(program)));
  spec.pass = std::move(pass);
  spec.network = network;
  spec.identity = options.identity;
  spec.bounds = {.memory_bytes = kGateMemoryBytes, .processes = 16, .cpu_percent = 100};
  if (network == jail::JailNetwork::kAllowHostNetwork) {
    const std::filesystem::path resolver = ResolverFile();
    if (!resolver.empty()) {
      spec.aliases.push_back({.source = resolver, .target = "/etc/resolv.conf"});
    }
  }
  return jail::JailedProcess::Spawn(std::move(spec), deadline);
}

struct Passt {
  sys::ChildProcess process;
  sys::UniqueFd standard_error;

  // Its output until now. Never waits.
  std::string Said() const {
    std::string text(kMaxSaid, '\0');
    const ssize_t count = ::read(standard_error.get(), text.data(), text.size());
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return PrintableLines(text);
  }
};

// passt jails itself: its own mount, user, IPC and UTS namespaces, no capabilities, a seccomp
// filter. Ours is in front of that, because passt's allows every kind of socket.
Result<Passt> StartPasstProcess(const NetworkOptions& options, const GuestNetwork& guest,
                                sys::UniqueFd socket) {
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path program,
                        sys::FindProgram("passt", "install it: apt-get install passt"));
  PYRO_ASSIGN_OR_RETURN(sys::Pipe diagnostics, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(diagnostics.read.get()));
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(diagnostics.write.get()));
  sys::SpawnOptions spawn;
  spawn.argv = PasstArguments(program, guest, 3);
  spawn.pass.push_back(std::move(socket));
  spawn.stderr_fd = std::move(diagnostics.write);
  spawn.cwd = std::string("/");
  spawn.credentials = jail::JailCredentials(options.identity);
  spawn.filter = jail::TranslatorFilter();
  PYRO_ASSIGN_OR_RETURN(sys::ChildProcess process, sys::ChildProcess::Spawn(std::move(spawn)));
  return Passt{std::move(process), std::move(diagnostics.read)};
}

// Asks for the gateway as the guest would, and waits for its answer: then the whole network is
// known to work. With `ipv6` it is asked over that, too; false: it has not answered there.
Result<bool> AwaitGateway(int socket, int gate_exit, vmm::FrameForm form, const Mac& mac, bool ipv6,
                          Deadline deadline) {
  FrameEnd card(socket, form);
  SocketState state = SocketState::kOpen;
  const std::string request = GatewayRequest(mac);
  AppendFrame(card.output(), AsBytes(request));
  if (ipv6) {
    const std::string request6 = GatewayRequest6(mac);
    AppendFrame(card.output(), AsBytes(request6));
  }
  PYRO_RETURN_IF_ERROR(card.Flush(state));
  // No frame for the guest can come before the guest has sent one.
  FrameReader reader;
  bool answered = false;
  bool answered6 = false;
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (frame) {
      if (IsGatewayReply(*frame) && !answered) {
        answered = true;
        const Deadline late = Deadline::After(kIpv6Limit);
        if (late.at() < deadline.at()) deadline = late;
      }
      answered6 = answered6 || IsGatewayReply6(*frame);
      if (answered && answered6 == ipv6) return answered6;
      continue;
    }
    const sys::Waited waited = sys::WaitFor(socket, POLLIN, deadline, gate_exit);
    if (state == SocketState::kClosed || waited == sys::Waited::kCancelled) {
      return MakeError(ErrorCode::kUnavailable, "the network's back end has ended");
    }
    if (waited == sys::Waited::kTimedOut) {
      if (answered) return false;
      return MakeError(ErrorCode::kTimedOut, "the network's back end did not answer in time");
    }
    PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, card.Read(state));
    reader.Feed(bytes);
  }
}

Result<sys::SocketPair> MakeCard(vmm::FrameForm form) {
  return form == vmm::FrameForm::kStream ? sys::MakeSocketPair() : sys::MakePacketPair();
}

// The gate's end, which outlives the gate. A kernel in user mode reads a card whose other end is
// closed as empty frames, without end, and does nothing else any more.
Result<sys::UniqueFd> HoldOpen(const sys::UniqueFd& wire, vmm::FrameForm form) {
  if (form == vmm::FrameForm::kStream) return sys::UniqueFd();
  sys::UniqueFd held(::fcntl(wire.get(), F_DUPFD_CLOEXEC, 3));
  if (!held.valid()) return sys::ErrnoError(errno, "hold a network card open");
  return held;
}

Status SendOrders(int control, const Policy& policy, const std::vector<ServedHost>& served,
                  bool ipv6) {
  const std::string orders = FormatGateOrders(
      {.policy = policy, .local = NetworksOfHost(), .served = served, .ipv6 = ipv6});
  if (::send(control, orders.data(), orders.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    return sys::ErrnoError(errno, "send the network policy");
  }
  return OkStatus();
}

}  // namespace

std::string_view NetworkBackendName(NetworkBackend backend) {
  return backend == NetworkBackend::kPasst ? "passt" : "slirp";
}

std::vector<std::string> PasstArguments(const std::string& passt, const GuestNetwork& guest,
                                        int socket) {
  std::vector<std::string> words = {passt,           "--foreground",
                                    "--quiet",       "--stderr",
                                    "--fd",          fmt::format("{}", socket),
                                    "--address",     guest.address,
                                    "--netmask",     fmt::format("{}", guest.prefix),
                                    "--gateway",     guest.gateway,
                                    "--mac-addr",    kGatewayMacText,
                                    "--dns-forward", guest.resolver,
                                    "--no-map-gw",   "--no-dhcp",
                                    "--tcp-ports",   "none",
                                    "--udp-ports",   "none"};
  if (guest.address6.empty()) {
    words.emplace_back("--ipv4-only");
  } else {
    for (const std::string& word :
         {std::string("--address"), guest.address6, std::string("--gateway"), guest.gateway6,
          std::string("--no-dhcpv6"), std::string("--no-ra")}) {
      words.push_back(word);
    }
  }
  return words;
}

Result<Network> Network::StartPasst(const NetworkOptions& options, bool ipv6, Deadline deadline) {
  const Mac mac = MacFor(options.identity);
  GuestNetwork guest = NetworkFor(mac, ipv6);
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair outer, sys::MakeSocketPair());
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair inner, MakeCard(options.form));
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd held, HoldOpen(inner.second, options.form));
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair control, sys::MakePacketPair());
  PYRO_RETURN_IF_ERROR(SendOrders(control.first.get(), options.policy, options.served, ipv6));
  PYRO_ASSIGN_OR_RETURN(Passt passt, StartPasstProcess(options, guest, std::move(outer.second)));
  std::vector<sys::UniqueFd> pass;
  pass.push_back(std::move(control.second));
  pass.push_back(std::move(inner.second));
  pass.push_back(std::move(outer.first));
  PYRO_ASSIGN_OR_RETURN(jail::JailedProcess gate, StartGate(options, "relay", std::move(pass),
                                                            jail::JailNetwork::kNone, deadline));
  const Result<bool> answered =
      AwaitGateway(inner.first.get(), gate.exit_fd(), options.form, mac, ipv6, deadline);
  if (!answered) {
    Error error = answered.error();
    static_cast<void>(passt.process.Wait(Deadline::After(std::chrono::milliseconds(200))));
    if (const std::string said = passt.Said(); !said.empty()) error.message += ": " + said;
    return error;
  }
  Network network(std::move(guest), NetworkBackend::kPasst, std::move(inner.first),
                  std::move(control.first), std::move(gate), std::move(passt.process));
  network.held_ = std::move(held);
  if (*answered != ipv6) PYRO_RETURN_IF_ERROR(network.TakeIpv6Away(options));
  return network;
}

// The back end has not answered over it.
Status Network::TakeIpv6Away(const NetworkOptions& options) {
  guest_.address6.clear();
  guest_.gateway6.clear();
  ipv6_reason_ = "the back end of the network does not answer over IPv6";
  return SendOrders(control_.get(), options.policy, options.served, false);
}

Result<Network> Network::StartSlirp(const NetworkOptions& options, bool ipv6, Deadline deadline) {
  const Mac mac = MacFor(options.identity);
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair inner, MakeCard(options.form));
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd held, HoldOpen(inner.second, options.form));
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair control, sys::MakePacketPair());
  PYRO_RETURN_IF_ERROR(SendOrders(control.first.get(), options.policy, options.served, ipv6));
  std::vector<sys::UniqueFd> pass;
  pass.push_back(std::move(control.second));
  pass.push_back(std::move(inner.second));
  PYRO_ASSIGN_OR_RETURN(
      jail::JailedProcess gate,
      StartGate(options, "slirp", std::move(pass),
                options.isolated ? jail::JailNetwork::kNone : jail::JailNetwork::kAllowHostNetwork,
                deadline));
  const Result<bool> answered =
      AwaitGateway(inner.first.get(), gate.exit_fd(), options.form, mac, ipv6, deadline);
  if (!answered) {
    Error error = answered.error();
    const std::string said(TrimSpace(gate.Diagnostics()));
    if (!said.empty()) error.message += ": " + PrintableLines(said);
    return error;
  }
  Network network(NetworkFor(mac, ipv6), NetworkBackend::kSlirp, std::move(inner.first),
                  std::move(control.first), std::move(gate), std::nullopt);
  network.held_ = std::move(held);
  if (*answered != ipv6) PYRO_RETURN_IF_ERROR(network.TakeIpv6Away(options));
  return network;
}

Status Network::SetPolicy(const Policy& policy) {
  return SendOrders(control_.get(), policy, served_, !guest_.address6.empty());
}

Result<std::optional<Denial>> Network::ReadDenial() {
  std::string text(kMaxDenialBytes + 1, '\0');
  const ssize_t count = ::recv(control_.get(), text.data(), text.size(), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return std::optional<Denial>();
  if (count <= 0) return MakeError(ErrorCode::kUnavailable, "the guest's network has ended");
  text.resize(static_cast<std::size_t>(count));
  PYRO_ASSIGN_OR_RETURN(Denial denial, ParseDenial(text));
  return std::optional<Denial>(std::move(denial));
}

Reason Network::HowItEnded() {
  const Deadline deadline = Deadline::After(std::chrono::seconds(1));
  const Result<sys::ExitStatus> gate = gate_.Wait(deadline);
  if (!gate) return Reason::kNone;
  if (gate->signalled && gate->code == SIGSYS) return Reason::kForbiddenCall;
  if (!gate->success()) return Reason::kNetworkEnded;
  // The gate ends well with its machine, and with passt.
  const Result<sys::ExitStatus> passt =
      passt_ ? passt_->Wait(deadline) : Result<sys::ExitStatus>(sys::ExitStatus{});
  if (!passt || !passt->signalled) return Reason::kNone;
  return passt->code == SIGSYS ? Reason::kForbiddenCall : Reason::kNetworkEnded;
}

Result<Network> Network::Start(const NetworkOptions& options, Deadline deadline) {
  HostIpv6 host = Ipv6OfHost();
  if (options.isolated)
    host = {.leads_outside = false, .why_not = "it reaches served hosts alone", .on_link = {}};
  PYRO_ASSIGN_OR_RETURN(Network network, StartAny(options, host.leads_outside, deadline));
  network.served_ = options.served;
  if (!host.leads_outside) network.ipv6_reason_ = std::move(host.why_not);
  return network;
}

Result<Network> Network::StartAny(const NetworkOptions& options, bool ipv6, Deadline deadline) {
  if (options.isolated || options.only == NetworkBackend::kSlirp) {
    return StartSlirp(options, ipv6, deadline);
  }
  Result<Network> passt = StartPasst(options, ipv6, deadline);
  if (passt || options.only == NetworkBackend::kPasst) return passt;
  Result<Network> slirp = StartSlirp(options, ipv6, deadline);
  if (slirp) {
    slirp->fallback_reason_ = passt.error().message;
    return slirp;
  }
  Error error = std::move(slirp).error();
  error.message = fmt::format("the guest's network does not start: passt: {}; slirp: {}",
                              passt.error().message, error.message);
  return error;
}

}  // namespace pyro::net
