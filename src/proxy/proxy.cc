#include "proxy/proxy.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>
#include <utility>

#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"
#include "net/network.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/wait_for.h"

namespace pyro::proxy {
namespace {

constexpr std::uint64_t kProxyMemoryBytes = 1024 * 1024 * 1024;
constexpr char kInside[] = "/pyro-proxy";

// In memory, so that the proxy reads it whole whenever it gets to it.
Result<sys::UniqueFd> InMemory(std::string_view text) {
  sys::UniqueFd file(::memfd_create("proxy", MFD_CLOEXEC));
  if (!file.valid()) return sys::ErrnoError(errno, "memfd_create");
  PYRO_RETURN_IF_ERROR(sys::WriteAll(file.get(), text));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return sys::ErrnoError(errno, "lseek");
  return file;
}

// The real place of a file that is often a link.
void AddFile(jail::JailSpec& spec, const char* path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (!error) spec.aliases.push_back({.source = real, .target = path});
}

Result<std::string> ReadPacket(int socket) {
  std::string text(kMaxSaysBytes + 1, '\0');
  const ssize_t count = ::recv(socket, text.data(), text.size(), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return std::string();
  if (count <= 0) return MakeError(ErrorCode::kUnavailable, "the guest's proxy has ended");
  text.resize(static_cast<std::size_t>(count));
  return text;
}

}  // namespace

Result<Proxy> Proxy::Start(ProxyOptions options, Deadline deadline) {
  PYRO_RETURN_IF_ERROR(ToSecrets(options.config.secrets));
  PYRO_ASSIGN_OR_RETURN(options.config.trust, sys::TrustedCertificates());
  jail::JailSpec spec;
  spec.argv = {kInside};
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd program, sys::OpenFile(options.program, O_RDONLY));
  PYRO_ASSIGN_OR_RETURN(spec.program, jail::MakeReopenable(std::move(program)));
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd config, InMemory(FormatProxyConfig(options.config)));
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair control, sys::MakePacketPair());
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair gate, sys::MakePacketPair());
  spec.pass.push_back(std::move(config));
  spec.pass.push_back(std::move(control.second));
  spec.pass.push_back(std::move(gate.second));
  if (options.downloads.valid()) spec.pass.push_back(std::move(options.downloads));
  spec.network = jail::JailNetwork::kAllowHostNetwork;
  spec.identity = options.identity;
  spec.bounds = {.memory_bytes = kProxyMemoryBytes, .processes = 128, .cpu_percent = 200};
  AddFile(spec, "/etc/resolv.conf");
  AddFile(spec, "/etc/hosts");
  PYRO_ASSIGN_OR_RETURN(jail::JailedProcess process,
                        jail::JailedProcess::Spawn(std::move(spec), deadline));
  Proxy proxy(std::move(control.first), std::move(gate.first), std::move(process));
  if (sys::WaitFor(proxy.control_.get(), POLLIN, deadline) == sys::Waited::kTimedOut) {
    return MakeError(ErrorCode::kTimedOut, "the guest's proxy did not start in time");
  }
  const Result<std::string> text = ReadPacket(proxy.control_.get());
  auto says = text ? ParseProxySays(*text) : Result<ProxySays>(text.error());
  if (!says || !std::holds_alternative<ProxyReady>(*says)) {
    const std::string said(TrimSpace(proxy.process_.Diagnostics()));
    return MakeError(ErrorCode::kUnavailable,
                     "the guest's proxy does not start: " +
                         (said.empty() ? std::string("it said nothing") : PrintableLines(said)));
  }
  proxy.certificate_ = std::move(std::get<ProxyReady>(*says).certificate);
  return proxy;
}

Status Proxy::SetPolicy(const net::Policy& policy,
                        const std::vector<net::ServedHost>& only_cached) {
  const std::string orders = net::FormatGateOrders(
      {.policy = policy, .local = net::NetworksOfHost(), .served = only_cached});
  if (::send(control_.get(), orders.data(), orders.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    return MakeError(ErrorCode::kUnavailable, "the guest's proxy has ended");
  }
  return OkStatus();
}

net::Reason Proxy::HowItEnded() {
  const auto status = process_.Wait(Deadline::After(std::chrono::seconds(1)));
  const bool forbidden = status && status->signalled && status->code == SIGSYS;
  return forbidden ? net::Reason::kForbiddenCall : net::Reason::kProxyEnded;
}

Result<std::optional<net::Denial>> Proxy::ReadDenial() {
  PYRO_ASSIGN_OR_RETURN(const std::string text, ReadPacket(control_.get()));
  if (text.empty()) return std::optional<net::Denial>();
  PYRO_ASSIGN_OR_RETURN(ProxySays says, ParseProxySays(text));
  if (auto* denial = std::get_if<net::Denial>(&says)) {
    return std::optional<net::Denial>(std::move(*denial));
  }
  return MakeError(ErrorCode::kProtocol, "the guest's proxy said what it may say once alone");
}

}  // namespace pyro::proxy
