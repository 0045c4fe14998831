// One TCP connection of a client: the only place that knows Beast.

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "mcp/http/http_message.h"
#include "mcp/http/http_server.h"
#include "mcp/http/http_service.h"

namespace pyro::mcp {

// Belongs to the io thread.
class HttpConnection {
 public:
  virtual ~HttpConnection() = default;

  // Serves requests until the client goes, breaks a limit, or Close; then calls `done`, once.
  static std::shared_ptr<HttpConnection> Start(boost::asio::ip::tcp::socket socket,
                                               HttpService& service, const HttpLimits& limits,
                                               std::function<void()> done);

  // Ends it as soon as the present request is answered; at once if there is none.
  virtual void Finish() = 0;
  virtual void Abort() = 0;
};

// Parses the bytes of one request. nullopt: they are not a request, incomplete, or beyond the
// limits.
std::optional<HttpRequest> ParseHttpRequest(std::string_view bytes, const HttpLimits& limits);

}  // namespace pyro::mcp
