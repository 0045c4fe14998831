// A connection of bytes, plain or in TLS, for coroutines of one thread. Each operation has a time
// limit: after it the connection is broken.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::proxy {

namespace asio = boost::asio;

// As of a connection that no program has forgotten.
inline constexpr std::chrono::hours kIdleLimit{2};
// Of a server that a download waits for, with one of few workers.
inline constexpr std::chrono::seconds kFetchIdleLimit{30};

class Stream {
 public:
  virtual ~Stream() = default;
  // 0: the other side has ended. kUnavailable, kTimedOut.
  virtual asio::awaitable<Result<std::size_t>> Read(std::span<char> into) = 0;
  // All of it. kUnavailable, kTimedOut.
  virtual asio::awaitable<Status> Write(std::string_view bytes) = 0;
  // No more is written.
  virtual asio::awaitable<void> End() = 0;
  // Of each Read() and each piece of a Write() from now on; kIdleLimit before.
  virtual void SetIdleLimit(std::chrono::seconds limit) = 0;
};

// What of a handshake with a guest went wrong.
enum class Handshake {
  kDone,
  kNotTrusted,  // The guest's program refused the certificate.
  kOtherName,   // It asked for another name.
  kOnlyHttp2,   // It does not speak HTTP/1.1.
  kBroken,
};

// A connected stream socket of any kind. kUnavailable.
Result<std::unique_ptr<Stream>> AdoptSocket(const asio::any_io_executor& executor,
                                            sys::UniqueFd socket);

// Waits for the first byte that a socket gets, and leaves it there. nullopt: none comes.
asio::awaitable<std::optional<unsigned char>> FirstByte(int socket);

// TLS as the server, on a socket of a guest, with a certificate for `name`.
struct GuestTls {
  Handshake handshake = Handshake::kBroken;
  std::unique_ptr<Stream> stream;  // Of kDone.
};
asio::awaitable<GuestTls> AcceptTls(const asio::any_io_executor& executor, sys::UniqueFd socket,
                                    asio::ssl::context& context, std::string name);

// Connects from this host. kUnavailable, kTimedOut.
asio::awaitable<Result<std::unique_ptr<Stream>>> ConnectPlain(asio::ip::address address,
                                                              std::uint16_t port);
// The same with TLS. kPermissionDenied: the server's certificate is not valid for `name`.
asio::awaitable<Result<std::unique_ptr<Stream>>> ConnectTls(asio::ip::address address,
                                                            std::uint16_t port, std::string name,
                                                            asio::ssl::context& context);

}  // namespace pyro::proxy
