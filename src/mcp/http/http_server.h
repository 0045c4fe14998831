// Serving any number of clients over Streamable HTTP.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mcp/server/server.h"
#include "pyro/result.h"

namespace pyro::mcp {

struct HttpLimits {
  std::size_t body_bytes = 4 * 1024 * 1024;
  std::size_t header_bytes = 16 * 1024;
  std::size_t connections = 1024;
  std::size_t sessions = 256;  // Of the legacy era; the longest idle makes room.
  std::chrono::milliseconds session_idle = std::chrono::minutes(30);
  std::chrono::milliseconds read_timeout = std::chrono::seconds(30);   // For one whole request.
  std::chrono::milliseconds write_timeout = std::chrono::seconds(30);  // For one piece of answer.
  std::chrono::milliseconds keep_alive = std::chrono::seconds(15);  // Between comments on a stream.
  // A call that takes longer is answered as a stream, so that no client waits for headers.
  std::chrono::milliseconds stream_after = std::chrono::seconds(1);
};

struct HttpOptions {
  std::string address = "127.0.0.1";  // An IP address.
  std::uint16_t port = 0;             // 0: any free one.
  std::string path = "/mcp";
  std::string bearer_token;  // Empty: no token is asked for; only possible on a loopback address.
  // Names other than localhost, 127.0.0.1 and [::1], without port, that Host and Origin may hold.
  std::vector<std::string> allowed_hosts;
  HttpLimits limits;
};

class HttpServer {
 public:
  // Listens; answers only after Run. kInvalidArgument: not an IP address, or one that is not
  // loopback without a token. kAlreadyExists: the port is taken.
  static Result<std::unique_ptr<HttpServer>> Listen(Server& server, HttpOptions options);
  virtual ~HttpServer() = default;

  virtual std::uint16_t port() const = 0;
  virtual std::string url() const = 0;

  // Serves on this thread until `stop_fd` (borrowed; -1: none) becomes readable or Stop is called;
  // then every call is cancelled and every stream ended. kTimedOut: as ServeStdio.
  virtual Status Run(int stop_fd = -1) = 0;
  virtual void Stop() = 0;  // From any thread.
};

}  // namespace pyro::mcp
