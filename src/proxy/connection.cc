#include "proxy/connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "proxy/exchange.h"

namespace pyro::proxy {
namespace {

using net::Reason;

// Copies until one side ends, and passes the end on.
asio::awaitable<void> Pump(std::shared_ptr<Stream> from, std::shared_ptr<Stream> to) {
  std::vector<char> bytes(64 * 1024);
  while (true) {
    const Result<std::size_t> count = co_await from->Read(bytes);
    if (!count || *count == 0) break;
    const Status written = co_await to->Write(std::string_view(bytes.data(), *count));
    if (!written) break;
  }
  co_await to->End();
}

}  // namespace

class Connection {
 public:
  Connection(Shared& shared, Origin origin) : shared_(shared), origin_(std::move(origin)) {}

  asio::awaitable<void> Tunnel(sys::UniqueFd socket) {
    const auto executor = co_await asio::this_coro::executor;
    Result<std::unique_ptr<Stream>> guest = AdoptSocket(executor, std::move(socket));
    if (!guest) co_return;
    Result<std::unique_ptr<Stream>> server = co_await shared_.upstream.Connect(origin_, {});
    if (!server) {
      if (server.error().code == ErrorCode::kPermissionDenied) Tell(Reason::kLocal);
      co_return;
    }
    const std::shared_ptr<Stream> near = std::move(*guest);
    const std::shared_ptr<Stream> far = std::move(*server);
    // Both: a connection counts until neither side has more to say.
    using asio::experimental::awaitable_operators::operator&&;
    co_await (Pump(near, far) && Pump(far, near));
  }

  asio::awaitable<void> Serve(sys::UniqueFd socket) {
    const auto executor = co_await asio::this_coro::executor;
    const std::optional<unsigned char> first = co_await FirstByte(socket.get());
    if (!first) co_return;
    origin_.tls = *first == 0x16;
    if (origin_.tls) {
      const bool good = co_await AcceptGuestTls(executor, std::move(socket));
      if (!good) co_return;
    } else {
      Result<std::unique_ptr<Stream>> guest = AdoptSocket(executor, std::move(socket));
      if (!guest) co_return;
      guest_ = std::move(*guest);
    }
    Inbox inbox{guest_.get(), {}};
    Exchange exchange(shared_, origin_, *guest_);
    int requests = 0;
    while (true) {
      const Exchange::Next next = co_await exchange.Serve(inbox);
      // A program that looks at the certificate after the handshake says nothing more.
      if (next == Exchange::Next::kNothingCame && requests == 0 && origin_.tls) {
        Tell(Reason::kNotTrusted);
      }
      if (next != Exchange::Next::kAgain) break;
      ++requests;
    }
    co_await guest_->End();
  }

 private:
  asio::awaitable<bool> AcceptGuestTls(asio::any_io_executor executor, sys::UniqueFd socket) {
    const Result<asio::ssl::context*> context = shared_.authority.ContextFor(origin_.name);
    if (!context) co_return false;
    GuestTls tls = co_await AcceptTls(executor, std::move(socket), **context, origin_.name);
    switch (tls.handshake) {
      case Handshake::kDone:
        guest_ = std::move(tls.stream);
        co_return true;
      case Handshake::kNotTrusted:
        Tell(Reason::kNotTrusted);
        break;
      case Handshake::kOtherName:
        Tell(Reason::kOtherName);
        break;
      case Handshake::kOnlyHttp2:
        Tell(Reason::kNotHttp);
        break;
      case Handshake::kBroken:
        break;
    }
    co_return false;
  }

  void Tell(Reason reason) {
    shared_.tell({.reason = reason, .protocol = "tcp", .name = origin_.name, .port = origin_.port});
  }

  Shared& shared_;
  Origin origin_;
  std::unique_ptr<Stream> guest_;
};

asio::awaitable<void> ServeConnection(Shared& shared, sys::UniqueFd socket,
                                      net::GuestConnection what) {
  Connection connection(shared, {.name = what.name, .port = what.port, .tls = false});
  if (what.tunnel) {
    co_await connection.Tunnel(std::move(socket));
  } else {
    co_await connection.Serve(std::move(socket));
  }
}

}  // namespace pyro::proxy
