// What answers requests of a guest in the place of a server outside.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "net/denials.h"
#include "proxy/http.h"

namespace pyro::proxy {

// A server as a guest named it.
struct Origin {
  std::string name;  // Canonical.
  std::uint16_t port = 0;
  bool tls = false;

  friend bool operator==(const Origin&, const Origin&) = default;
};

// An answer on its way from a server outside.
class Fetched {
 public:
  virtual ~Fetched() = default;
  virtual const ResponseHead& head() const = 0;
  virtual BodyForm body_form() const = 0;
  // As MessageReader::ReadBody().
  virtual asio::awaitable<Result<std::string_view>> ReadBody() = 0;
};

struct FetchOptions {
  // Addresses of this host's networks count as the outside. Loopback and link-local never do.
  bool local_allowed = false;
};

// Servers outside. Their names are looked up on this host; addresses that the policy does not allow
// are refused, and certificates are verified.
class Fetcher {
 public:
  virtual ~Fetcher() = default;
  // Sends a request without a body, with `head`'s Host as it is. kPermissionDenied: the policy or
  // the certificate; kNotFound: no such name; kUnavailable, kTimedOut, kProtocol.
  virtual asio::awaitable<Result<std::unique_ptr<Fetched>>> Fetch(Origin origin, RequestHead head,
                                                                  FetchOptions options) = 0;
};

// The answer to a guest's request. In this order: one SendHead(), any number of SendBody(), one
// End(). An error breaks the connection, and so does a missing End().
class Responder {
 public:
  virtual ~Responder() = default;
  // Fields of one connection alone are set here. `form`: what follows.
  virtual asio::awaitable<Status> SendHead(ResponseHead head, BodyForm form) = 0;
  virtual asio::awaitable<Status> SendBody(std::string_view piece) = 0;
  virtual asio::awaitable<Status> End() = 0;
  // A whole answer with a sentence of the proxy's, in the place of all these.
  virtual asio::awaitable<Status> Refuse(unsigned status, std::string sentence) = 0;
};

enum class Served {
  kAnswered,
  kPassOn,  // Nothing was said: the server itself is to answer.
};

class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // Whether it answers this request, of which the body is empty. The name and port have been
  // checked; the target is a path; no placeholder of a secret is in the head.
  virtual bool Takes(const Origin& origin, const RequestHead& head) const = 0;
  // Why a request that it does not answer must not be passed on, a sentence for people; empty: it
  // may be.
  virtual std::string WhyRefused(const Origin& origin, const RequestHead& head) const = 0;
  // Not one call at a time: other connections go on while it waits.
  virtual asio::awaitable<Result<Served>> Serve(Origin origin, RequestHead head,
                                                Responder& responder, Fetcher& fetcher) = 0;
};

}  // namespace pyro::proxy
