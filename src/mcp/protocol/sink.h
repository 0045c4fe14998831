// The destination of the answer to one request; implemented by each transport.

#pragma once

#include "base/json.h"
#include "mcp/protocol/call_context.h"

namespace pyro::mcp {

// Thread-safe. No call waits for a client that does not read: reports are dropped and, if the queue
// becomes too long, the connection is closed.
class Sink {
 public:
  virtual ~Sink() = default;

  // Before the answer. kReport may be dropped; kMessage may not.
  enum class Kind { kReport, kMessage };
  virtual void Send(const Json& message, Kind kind) = 0;
  // The answer; at most once, and last.
  virtual void Finish(const Json& response, int http_status) = 0;
  // There will be no answer: the client cancelled its request.
  virtual void Drop() = 0;
  // See CallContext::ReleaseConnection.
  virtual void Release() {}
};

// A request that is being answered, for its transport.
class Exchange {
 public:
  virtual ~Exchange() = default;
  // From any thread, at any time, any number of times.
  virtual void Cancel(CancelReason reason) = 0;
};

}  // namespace pyro::mcp
