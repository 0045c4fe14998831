// The call that a handler serves, and the actions that it can take before it returns a result.

#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "pyro/result.h"

namespace pyro::mcp {

// The two shapes of the protocol: revisions up to 2025-11-25 open with `initialize` and keep a
// session; in 2026-07-28 each request is complete in itself.
enum class Era { kLegacy, kModern };

// As of RFC 5424, from the least to the most severe.
enum class LogLevel { kDebug, kInfo, kNotice, kWarning, kError, kCritical, kAlert, kEmergency };

struct ClientInfo {
  std::string name;     // Empty if the client does not give it.
  std::string version;  // Both come from the client: print them with pyro::Printable.
};

// The reason for a call's cancellation.
enum class CancelReason {
  kNone,
  kRequested,  // The client asked for it or, in the modern era, closed the stream of the answer.
  kPeerGone,   // The client is gone: its end of stdin, its session deleted.
  kShutdown,   // This server is ending.
};

// A question that only the client can answer. The method is "elicitation/create",
// "sampling/createMessage" or "roots/list".
struct InputRequest {
  std::string method;
  Json params;
};

// `schema` is a flat object schema; an answer that does not fit it is asked for again.
InputRequest Elicit(std::string_view message, Json schema);
InputRequest Sample(Json params);
InputRequest ListRoots();

// By a name of the handler's choosing, the same in each run of the handler.
using InputRequests = std::map<std::string, InputRequest>;
// The client's answer in the protocol's form: of an elicitation {"action", "content"}.
using InputAnswers = std::map<std::string, Json>;

// Valid during one call of a handler. Thread-safe: a handler may report from threads of its own, as
// long as they end before it returns.
class CallContext {
 public:
  virtual ~CallContext() = default;

  virtual Era era() const = 0;
  virtual const std::string& protocol_version() const = 0;
  virtual const ClientInfo& client() const = 0;
  // The client's capabilities as it declared them, an object.
  virtual const Json& client_capabilities() const = 0;
  // The caller's identity: the same for all calls that may see each other's handles.
  virtual const std::string& principal() const = 0;

  // Whether an MCP task may be the answer (ToolResult::AsTask).
  virtual bool MayAnswerWithTask() const = 0;

  // Cancellation is a request: the handler ends as soon as it can, and its result is dropped.
  virtual bool cancelled() const = 0;
  virtual CancelReason cancel_reason() const = 0;
  // Becomes readable when the call is cancelled and stays so; never read from it. Borrowed: valid
  // during the call.
  virtual int cancel_fd() const = 0;

  // Whether the client asked for progress; otherwise Progress() costs nothing.
  virtual bool wants_progress() const = 0;
  // Values that do not grow are dropped, as the protocol forbids them. `message` is cut to
  // kMaxProgressMessage bytes. Never waits: when the client does not read, reports are dropped.
  virtual void Progress(double progress, std::optional<double> total, std::string_view message) = 0;

  // Reaches the client if it asked for messages of this level. Never waits, as above.
  virtual void Log(LogLevel level, Json data, std::string_view logger = {}) = 0;

  // Asks the client and returns its answers, written once for both eras.
  //
  // In the legacy era this waits for the client. In the modern era a server cannot ask: the first
  // run of the handler ends here with an error, which the handler returns unchanged. The client
  // calls again with answers, the handler runs again from its start, and this time gets them. So a
  // handler must not do work that may not happen twice before its last RequestInput. The client
  // keeps the answers of earlier rounds, authenticated.
  //
  // Return every error at once; the library knows its meaning.
  virtual Result<InputAnswers> RequestInput(const InputRequests& requests) = 0;

  // Whether the client declared a capability such as "sampling" or "elicitation".
  bool HasCapability(std::string_view name) const;

  // Closes the connection of the answer if the client can come back for it (Streamable HTTP of
  // 2025-11-25), so that a long call does not hold one. No effect otherwise.
  virtual void ReleaseConnection() = 0;
};

inline constexpr std::size_t kMaxProgressMessage = 200;

}  // namespace pyro::mcp
