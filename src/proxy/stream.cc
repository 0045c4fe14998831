#include "proxy/stream.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/error.hpp>
#include <cerrno>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "net/policy.h"

namespace pyro::proxy {
namespace {

namespace beast = boost::beast;
using boost::system::error_code;
using Socket = beast::basic_stream<asio::generic::stream_protocol>;
using TlsSocket = asio::ssl::stream<Socket>;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kConnectLimit{20};
constexpr std::string_view kHttp11 = "http/1.1";

Error Broken(const error_code& code) {
  if (code == beast::error::timeout) {
    return MakeError(ErrorCode::kTimedOut, "the other side did not answer in time");
  }
  return MakeError(ErrorCode::kUnavailable,
                   fmt::format("the connection broke: {}", Printable(code.message(), 120)));
}

bool IsEnd(const error_code& code) {
  return code == asio::error::eof || code == asio::ssl::error::stream_truncated;
}

}  // namespace

template <typename Layer>
class StreamOf : public Stream {
 public:
  template <typename... Args>
  explicit StreamOf(Args&&... args) : layer_(std::forward<Args>(args)...) {}

  Layer& layer() { return layer_; }
  Socket& socket() { return beast::get_lowest_layer(layer_); }

  asio::awaitable<Result<std::size_t>> Read(std::span<char> into) override {
    socket().expires_after(idle_limit_);
    const auto [code, count] =
        co_await layer_.async_read_some(asio::buffer(into.data(), into.size()), kToken);
    if (code && !IsEnd(code)) co_return Broken(code);
    co_return code ? 0 : count;
  }

  asio::awaitable<Status> Write(std::string_view bytes) override {
    std::size_t done = 0;
    while (done < bytes.size()) {
      socket().expires_after(idle_limit_);
      const auto [code, count] = co_await layer_.async_write_some(
          asio::buffer(bytes.data() + done, bytes.size() - done), kToken);
      if (code) co_return Broken(code);
      done += count;
    }
    co_return OkStatus();
  }

  asio::awaitable<void> End() override {
    if constexpr (std::is_same_v<Layer, TlsSocket>) {
      // The other side need not answer.
      socket().expires_after(std::chrono::seconds(2));
      const auto [code] = co_await layer_.async_shutdown(kToken);
      (void)code;
    }
    error_code ignored;
    socket().socket().shutdown(asio::socket_base::shutdown_send, ignored);
    co_return;
  }

  void SetIdleLimit(std::chrono::seconds limit) override { idle_limit_ = limit; }

 private:
  Layer layer_;
  std::chrono::seconds idle_limit_ = kIdleLimit;
};

using PlainStream = StreamOf<Socket>;

namespace {

asio::generic::stream_protocol ProtocolOf(int fd) {
  int domain = AF_UNIX;
  socklen_t size = sizeof domain;
  (void)::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
  return {domain, 0};
}

int ChooseHttp11(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                 unsigned int in_size, void*) {
  for (unsigned int at = 0; at < in_size;) {
    const unsigned int size = in[at];
    if (size > in_size - at - 1) break;
    const std::string_view one(reinterpret_cast<const char*>(in) + at + 1, size);
    if (one == kHttp11) {
      *out = in + at + 1;
      *out_size = static_cast<unsigned char>(size);
      return SSL_TLSEXT_ERR_OK;
    }
    at += size + 1;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

Handshake WhatWentWrong(const error_code& code) {
  if (code.category() != asio::error::get_ssl_category()) return Handshake::kBroken;
  switch (ERR_GET_REASON(static_cast<unsigned long>(code.value()))) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      return Handshake::kNotTrusted;
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return Handshake::kOnlyHttp2;
    default:
      return Handshake::kBroken;
  }
}

asio::awaitable<Result<std::unique_ptr<StreamOf<TlsSocket>>>> ConnectBelow(
    asio::ip::tcp::endpoint where, asio::ssl::context& context) {
  auto stream = std::make_unique<StreamOf<TlsSocket>>(co_await asio::this_coro::executor, context);
  stream->socket().expires_after(kConnectLimit);
  const auto [code] = co_await stream->socket().async_connect(
      asio::generic::stream_protocol::endpoint(where), kToken);
  if (code) co_return Broken(code);
  co_return stream;
}

}  // namespace

Result<std::unique_ptr<Stream>> AdoptSocket(const asio::any_io_executor& executor,
                                            sys::UniqueFd socket) {
  auto stream = std::make_unique<PlainStream>(executor);
  error_code code;
  const auto protocol = ProtocolOf(socket.get());
  stream->socket().socket().assign(protocol, socket.get(), code);
  if (code) return Broken(code);
  (void)socket.Release();
  return std::unique_ptr<Stream>(std::move(stream));
}

asio::awaitable<std::optional<unsigned char>> FirstByte(int socket) {
  const int own = ::fcntl(socket, F_DUPFD_CLOEXEC, 3);
  if (own < 0) co_return std::nullopt;
  asio::posix::stream_descriptor descriptor(co_await asio::this_coro::executor, own);
  while (true) {
    const auto [code] =
        co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read, kToken);
    if (code) co_return std::nullopt;
    unsigned char byte = 0;
    const ssize_t count = ::recv(own, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (count == 1) co_return byte;
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) co_return std::nullopt;
  }
}

asio::awaitable<GuestTls> AcceptTls(const asio::any_io_executor& executor, sys::UniqueFd socket,
                                    asio::ssl::context& context, std::string name) {
  GuestTls result;
  auto stream = std::make_unique<StreamOf<TlsSocket>>(executor, context);
  error_code assigned;
  stream->socket().socket().assign(ProtocolOf(socket.get()), socket.get(), assigned);
  if (assigned) co_return result;
  (void)socket.Release();
  SSL_CTX_set_alpn_select_cb(context.native_handle(), ChooseHttp11, nullptr);
  stream->socket().expires_after(kConnectLimit);
  const auto [code] =
      co_await stream->layer().async_handshake(asio::ssl::stream_base::server, kToken);
  if (code) {
    result.handshake = WhatWentWrong(code);
    co_return result;
  }
  const char* asked =
      SSL_get_servername(stream->layer().native_handle(), TLSEXT_NAMETYPE_host_name);
  if (asked != nullptr && net::CanonicalName(asked) != name) {
    result.handshake = Handshake::kOtherName;
    co_return result;
  }
  result.handshake = Handshake::kDone;
  result.stream = std::move(stream);
  co_return result;
}

asio::awaitable<Result<std::unique_ptr<Stream>>> ConnectPlain(asio::ip::address address,
                                                              std::uint16_t port) {
  auto stream = std::make_unique<PlainStream>(co_await asio::this_coro::executor);
  stream->socket().expires_after(kConnectLimit);
  const asio::ip::tcp::endpoint where(address, port);
  const auto [code] = co_await stream->socket().async_connect(
      asio::generic::stream_protocol::endpoint(where), kToken);
  if (code) co_return Broken(code);
  co_return std::unique_ptr<Stream>(std::move(stream));
}

asio::awaitable<Result<std::unique_ptr<Stream>>> ConnectTls(asio::ip::address address,
                                                            std::uint16_t port, std::string name,
                                                            asio::ssl::context& context) {
  auto connected = co_await ConnectBelow({address, port}, context);
  if (!connected) co_return std::move(connected).error();
  std::unique_ptr<StreamOf<TlsSocket>> stream = std::move(*connected);
  SSL* ssl = stream->layer().native_handle();
  SSL_set_tlsext_host_name(ssl, name.c_str());
  constexpr unsigned char kOffer[] = "\x08http/1.1";
  SSL_set_alpn_protos(ssl, kOffer, sizeof kOffer - 1);
  stream->layer().set_verify_mode(asio::ssl::verify_peer);
  stream->layer().set_verify_callback(asio::ssl::host_name_verification(name));
  stream->socket().expires_after(kConnectLimit);
  const auto [code] =
      co_await stream->layer().async_handshake(asio::ssl::stream_base::client, kToken);
  if (code) {
    const long verified = SSL_get_verify_result(ssl);
    const bool refused =
        code.category() == asio::error::get_ssl_category() &&
        ERR_GET_REASON(static_cast<unsigned long>(code.value())) == SSL_R_CERTIFICATE_VERIFY_FAILED;
    if (refused) {
      const char* why = verified == X509_V_OK ? "it is for another name"
                                              : X509_verify_cert_error_string(verified);
      co_return MakeError(
          ErrorCode::kPermissionDenied,
          fmt::format("this host does not trust the certificate of {}: {}", name, why),
          "SSL_CERT_FILE names a file with certificates that pyro trusts beside the host's own");
    }
    co_return Broken(code);
  }
  co_return std::unique_ptr<Stream>(std::move(stream));
}

}  // namespace pyro::proxy
