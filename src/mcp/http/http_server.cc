#include "mcp/http/http_server.h"

#include <algorithm>
#include <cctype>
#include <list>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "mcp/http/http_connection.h"
#include "mcp/http/http_service.h"
#include "mcp/server/core.h"

namespace pyro::mcp {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr std::chrono::milliseconds kDrain{900};
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::seconds kSweep{60};
constexpr std::size_t kMinToken = 16;

class Listener final : public HttpServer {
 public:
  Listener(Server& server, HttpOptions options)
      : core_(server.core()),
        options_(std::move(options)),
        service_(core_, options_),
        acceptor_(io_),
        pause_(io_),
        sweep_(io_),
        drain_(io_) {}

  Status Open(const asio::ip::address& address) {
    const tcp::endpoint endpoint(address, options_.port);
    error_code error;
    acceptor_.open(endpoint.protocol(), error);
    // open(2)-like calls of Asio do not set this.
    if (!error && ::fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC) != 0) {
      return MakeError(ErrorCode::kInternal, "cannot mark the listening socket close-on-exec");
    }
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) acceptor_.non_blocking(true, error);
    if (!error) port_ = acceptor_.local_endpoint(error).port();
    if (!error) return OkStatus();
    const ErrorCode code = error == asio::error::address_in_use  ? ErrorCode::kAlreadyExists
                           : error == asio::error::access_denied ? ErrorCode::kPermissionDenied
                                                                 : ErrorCode::kUnavailable;
    return MakeError(code,
                     fmt::format("cannot listen on {} port {}: {}", options_.address, options_.port,
                                 error.message()),
                     "choose another address or port");
  }

  std::uint16_t port() const override { return port_; }

  std::string url() const override {
    const bool v6 = options_.address.find(':') != std::string::npos;
    return fmt::format("http://{}{}{}:{}{}", v6 ? "[" : "", options_.address, v6 ? "]" : "", port_,
                       options_.path);
  }

  Status Run(int stop_fd) override {
    asio::posix::stream_descriptor stop(io_);
    if (stop_fd >= 0) {
      error_code error;
      stop.assign(::fcntl(stop_fd, F_DUPFD_CLOEXEC, 3), error);
      if (error) return MakeError(ErrorCode::kInternal, "the stop descriptor cannot be waited for");
      stop.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code failed) {
        if (!failed) BeginEnd();
      });
    }
    Accept();
    Sweep();
    io_.run();
    // From here on no more wake-ups come.
    for (const auto& connection : std::list(connections_)) connection->Abort();
    error_code ignored;
    stop.close(ignored);
    io_.restart();
    io_.poll();
    if (core_.WaitIdle(kDrain)) return OkStatus();
    return MakeError(ErrorCode::kTimedOut, "calls did not end when they were cancelled");
  }

  void Stop() override {
    asio::post(io_, [this] { BeginEnd(); });
  }

 private:
  void Accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (ending_ || error == asio::error::operation_aborted) return;
      if (!error) {
        Take(std::move(socket));
        Accept();
        return;
      }
      // Out of descriptors: some will come free.
      pause_.expires_after(kAcceptPause);
      pause_.async_wait([this](error_code cancelled) {
        if (!cancelled) Accept();
      });
    });
  }

  void Take(tcp::socket socket) {
    if (connections_.size() >= options_.limits.connections) return;  // Closes it.
    ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const auto place = connections_.insert(connections_.end(), nullptr);
    *place = HttpConnection::Start(std::move(socket), service_, options_.limits, [this, place] {
      connections_.erase(place);
      if (ending_ && connections_.empty()) io_.stop();
    });
  }

  void Sweep() {
    service_.RemoveIdleSessions();
    sweep_.expires_after(kSweep);
    sweep_.async_wait([this](error_code error) {
      if (!error) Sweep();
    });
  }

  void BeginEnd() {
    if (std::exchange(ending_, true)) return;
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    sweep_.cancel();
    service_.Shutdown();
    for (const auto& connection : std::list(connections_)) connection->Finish();
    if (connections_.empty()) {
      io_.stop();
      return;
    }
    drain_.expires_after(kDrain);
    drain_.async_wait([this](error_code error) {
      if (!error) io_.stop();
    });
  }

  Core& core_;
  const HttpOptions options_;
  HttpService service_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  asio::steady_timer sweep_;
  asio::steady_timer drain_;
  std::list<std::shared_ptr<HttpConnection>> connections_;
  std::uint16_t port_ = 0;
  bool ending_ = false;
};

bool IsToken(const std::string& token) {
  return std::all_of(token.begin(), token.end(),
                     [](unsigned char c) { return std::isgraph(c) != 0; });
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(Server& server, HttpOptions options) {
  error_code error;
  const asio::ip::address address = asio::ip::make_address(options.address, error);
  if (error) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is no IP address", options.address),
                     "give one such as 127.0.0.1");
  }
  if (!address.is_loopback() && options.bearer_token.empty()) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' can be reached by others, and no token is set", options.address),
        "set a bearer token, or listen on 127.0.0.1");
  }
  if (!options.bearer_token.empty() &&
      (options.bearer_token.size() < kMinToken || !IsToken(options.bearer_token))) {
    return MakeError(ErrorCode::kInvalidArgument, "the bearer token is too short or has spaces",
                     fmt::format("use at least {} random letters and digits", kMinToken));
  }
  for (std::string& host : options.allowed_hosts) {
    std::transform(host.begin(), host.end(), host.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  }
  auto listener = std::make_unique<Listener>(server, std::move(options));
  if (const Status opened = listener->Open(address); !opened) return opened.error();
  return std::unique_ptr<HttpServer>(std::move(listener));
}

}  // namespace pyro::mcp
