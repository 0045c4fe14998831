// Streamable HTTP without the sockets: requests in, answers and streams out.

#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <variant>

#include "mcp/http/http_ladder.h"
#include "mcp/http/http_message.h"
#include "mcp/http/http_server.h"
#include "mcp/http/http_sessions.h"
#include "mcp/http/http_stream.h"
#include "mcp/server/core.h"

namespace pyro::mcp {

// The stream that a connection writes bit by bit.
struct HttpStreaming {
  std::shared_ptr<HttpStream> stream;
  std::uint64_t ticket = 0;
  bool at_once = false;  // It is a stream from the start.
  // Whether the request is cancelled when the client leaves.
  bool closing_cancels = false;
  std::shared_ptr<Exchange> exchange;  // May be null.
  // For a request answered without a stream: the answer's headers, and a call when it was sent.
  std::vector<std::pair<std::string, std::string>> headers;
  std::function<void()> answered_whole;
};

// Thread-safe. Never waits.
class HttpService {
 public:
  HttpService(Core& core, const HttpOptions& options);

  const HttpPolicy& policy() const { return policy_; }

  // A request whose head has passed CheckHead. `wake`: see HttpStream::Attach.
  std::variant<HttpAnswer, HttpStreaming> Serve(HttpRequest request, std::function<void()> wake);

  // The stream's connection is done with it: `gone` if the client went away before its end.
  void Done(const HttpStreaming& streaming, bool gone);

  // Cancels all calls; streams end.
  void Shutdown();
  // Call it from time to time.
  void RemoveIdleSessions();

 private:
  using Served = std::variant<HttpAnswer, HttpStreaming>;

  Served ServeModern(ModernMessage message, std::function<void()> wake);
  Served ServeLegacy(const HttpRequest& request, LegacyMessage message, std::function<void()> wake);
  Served Open(Request request, std::function<void()> wake);
  Served Listen(const HttpRequest& request, std::function<void()> wake);
  HttpAnswer Delete(const HttpRequest& request);
  // The session that a request names, or the reason why there is none.
  std::variant<std::shared_ptr<HttpSession>, HttpAnswer> SessionOf(const HttpRequest& request,
                                                                   const Json& id);
  void Remove(const std::vector<std::shared_ptr<HttpSession>>& sessions, CancelReason reason);

  Core& core_;
  const HttpPolicy policy_;
  const std::string principal_;
  LadderServer ladder_;
  HttpSessions sessions_;
  std::mutex mutex_;
  std::set<std::shared_ptr<Exchange>> modern_;  // Being answered.
};

}  // namespace pyro::mcp
