#include "proxy/server.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "base/try.h"
#include "downloads/url.h"
#include "jail/confine.h"
#include "proxy/config.h"
#include "proxy/connection.h"
#include "proxy/downloads_handler.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::proxy {
namespace {

constexpr int kConfigPipe = 3;
constexpr int kControlSocket = 4;
constexpr int kGateSocket = 5;
// The directory outside of the jail, where the cache is on.
constexpr int kDownloads = 6;
constexpr char kDownloadsPath[] = "/proc/self/fd/6";
constexpr int kMaxConnections = 400;  // Two sockets each, of the 1024 that a jail has.
constexpr auto kWaitToken = asio::as_tuple(asio::use_awaitable);

using Descriptor = asio::posix::stream_descriptor;

struct Received {
  std::string text;
  sys::UniqueFd socket;
};

// nullopt: nothing is there now. kUnavailable: the other side has ended.
Result<std::optional<Received>> Receive(int fd) {
  Received received;
  received.text.resize(net::kMaxConnectionBytes);
  iovec part{received.text.data(), received.text.size()};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof room;
  const ssize_t count = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return std::optional<Received>();
  if (count <= 0) return MakeError(ErrorCode::kUnavailable, "the gate has ended");
  received.text.resize(static_cast<std::size_t>(count));
  const cmsghdr* extra = CMSG_FIRSTHDR(&message);
  if (extra != nullptr && extra->cmsg_level == SOL_SOCKET && extra->cmsg_type == SCM_RIGHTS) {
    int socket = -1;
    std::memcpy(&socket, CMSG_DATA(extra), sizeof socket);
    received.socket = sys::UniqueFd(socket);
  }
  return std::optional<Received>(std::move(received));
}

class Server {
 public:
  Server(asio::io_context& loop, Authority& authority, Upstream& upstream, Secrets& secrets,
         DownloadsHandler* downloads)
      : loop_(loop),
        control_(loop, kControlSocket),
        gate_(loop, kGateSocket),
        retry_(loop),
        downloads_(downloads),
        shared_{.authority = authority,
                .upstream = upstream,
                .secrets = secrets,
                .handler = downloads,
                .tell = [this](const net::Denial& denial) { Tell(denial); }} {}

  Status Run() {
    const std::string ready = FormatReady({shared_.authority.certificate()});
    if (::send(kControlSocket, ready.data(), ready.size(), MSG_NOSIGNAL) < 0) {
      return sys::ErrnoError(errno, "report to the supervisor");
    }
    // The process has no reason to live without it. The gate's end is that of the machine, which
    // the supervisor learns of in its own way.
    asio::co_spawn(loop_, WatchSupervisor(), [this](const std::exception_ptr&) { loop_.stop(); });
    asio::co_spawn(loop_, TakeConnections(), asio::detached);
    loop_.run();
    return OkStatus();
  }

 private:
  asio::awaitable<void> WatchSupervisor() {
    while (true) {
      const auto [code] = co_await control_.async_wait(Descriptor::wait_read, kWaitToken);
      if (code) co_return;
      std::string text(net::kMaxControlBytes, '\0');
      const ssize_t count = ::recv(kControlSocket, text.data(), text.size(), MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (count <= 0) co_return;
      text.resize(static_cast<std::size_t>(count));
      // Their served hosts are those that are only cached: see Proxy::SetPolicy().
      auto orders = net::ParseGateOrders(text);
      if (!orders) co_return;  // None of the supervisor's.
      shared_.upstream.SetPolicy(std::move(orders->policy), std::move(orders->local));
      if (downloads_ != nullptr) downloads_->SetOnlyCached(std::move(orders->served));
    }
  }

  asio::awaitable<void> TakeConnections() {
    while (true) {
      const auto [code] = co_await gate_.async_wait(Descriptor::wait_read, kWaitToken);
      if (code) co_return;
      Result<std::optional<Received>> received = Receive(kGateSocket);
      if (!received) co_return;
      if (!*received) continue;
      Begin(std::move(**received));
    }
  }

  // Without room for it, the guest sees a connection that ends.
  void Begin(Received received) {
    auto what = net::ParseGuestConnection(received.text);
    if (!what || !received.socket.valid() || connections_ >= kMaxConnections) return;
    ++connections_;
    asio::co_spawn(loop_, ServeConnection(shared_, std::move(received.socket), std::move(*what)),
                   [this](const std::exception_ptr&) { --connections_; });
  }

  void Tell(const net::Denial& denial) {
    denials_.Add(denial);
    TellNow();
  }

  void TellNow() {
    for (const net::Denial& denial : denials_.Take(std::chrono::steady_clock::now())) {
      const std::string text = net::FormatDenial(denial);
      if (::send(kControlSocket, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        denials_.Add(denial);
      }
    }
    const auto next = denials_.Next();
    if (!next) return;
    retry_.expires_at(std::max(*next, std::chrono::steady_clock::now()));
    retry_.async_wait([this](boost::system::error_code code) {
      if (!code) TellNow();
    });
  }

  asio::io_context& loop_;
  Descriptor control_;
  Descriptor gate_;
  asio::steady_timer retry_;
  DownloadsHandler* downloads_;
  Shared shared_;
  net::DenialLog denials_;
  int connections_ = 0;
};

// From any thread, past the log of denials, which is the loop's. Few are told: after that many,
// the cache is in a state that one more does not explain.
void TellReport(const downloads::Report& report) {
  constexpr int kMostTold = 64;
  static std::atomic<int> told = 0;
  const auto url = downloads::ParseUrl(report.url);
  if (!url || ++told > kMostTold) return;
  using Kind = downloads::Report::Kind;
  const net::Reason reason = report.kind == Kind::kAway   ? net::Reason::kDownloadAway
                             : report.kind == Kind::kDisk ? net::Reason::kDownloadDisk
                                                          : net::Reason::kDownloadDamaged;
  const std::string text = net::FormatDenial(
      {.reason = reason, .protocol = "tcp", .name = url->host, .port = url->port});
  static_cast<void>(::send(kControlSocket, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

Result<std::unique_ptr<DownloadsHandler>> MakeDownloads(const DownloadsConfig& config) {
  if (config.routes.empty()) return std::unique_ptr<DownloadsHandler>();
  if (::fcntl(kDownloads, F_SETFD, FD_CLOEXEC) != 0) return sys::ErrnoError(errno, "fcntl");
  return DownloadsHandler::Make(config, {.root = kDownloadsPath, .report = TellReport});
}

Status Run() {
  // Other processes of this user must not read its memory, and no crash may write it to a disk.
  ::prctl(PR_SET_DUMPABLE, 0);
  for (const int fd : {kConfigPipe, kControlSocket, kGateSocket}) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return sys::ErrnoError(errno, "fcntl");
  }
  std::string text;
  {
    const sys::UniqueFd pipe(kConfigPipe);
    PYRO_ASSIGN_OR_RETURN(text, sys::ReadAll(pipe.get(), kMaxProxyConfigBytes));
  }
  PYRO_ASSIGN_OR_RETURN(ProxyConfig config, ParseProxyConfig(text));
  PYRO_ASSIGN_OR_RETURN(std::vector<Secret> values, ToSecrets(config.secrets));
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<Authority> authority, Authority::Make());
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<Upstream> upstream,
                        Upstream::Make(std::move(config.orders.policy),
                                       std::move(config.orders.local), config.trust));
  Secrets secrets(std::move(values));
  PYRO_ASSIGN_OR_RETURN(std::unique_ptr<DownloadsHandler> downloads,
                        MakeDownloads(config.downloads));
  asio::io_context loop(1);
  Server server(loop, *authority, *upstream, secrets, downloads.get());
  PYRO_RETURN_IF_ERROR(
      jail::Confine(downloads == nullptr ? jail::Confined::kProxy : jail::Confined::kDownloads));
  PYRO_RETURN_IF_ERROR(server.Run());
  // Its workers may wait for the loop, which does not go on.
  if (downloads != nullptr) std::_Exit(0);
  return OkStatus();
}

}  // namespace

int ProxyMain(int argc) {
  if (argc != 1) {
    fmt::print(stderr, "pyro-proxy is started by pyro, for one guest with secrets\n");
    return 2;
  }
  const Status status = Run();
  if (status) return 0;
  fmt::print(stderr, "{}\n", status.error().message);
  return 1;
}

}  // namespace pyro::proxy
