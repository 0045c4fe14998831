// The state of one client between its messages: a session of the legacy era, or the only client of
// a stdio connection.

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "mcp/protocol/call_context.h"
#include "mcp/protocol/eras.h"
#include "mcp/protocol/message.h"
#include "mcp/protocol/sink.h"
#include "pyro/result.h"

namespace pyro::mcp {

// Thread-safe.
class Peer {
 public:
  // `send` carries messages that belong to no request; it never waits.
  Peer(std::string principal, std::function<void(const Json&)> send)
      : principal_(std::move(principal)), send_(std::move(send)) {}

  const std::string& principal() const { return principal_; }

  // `initialize` came; it may come again.
  void Open(std::string version, Json capabilities, ClientInfo client);
  bool opened() const;
  // As a request of this session now is.
  RequestScope Scope(const std::shared_ptr<Peer>& self) const;

  void SetLogLevel(LogLevel level);
  LogLevel log_level() const;

  // Requests that are being answered, by id. false: one of that id is already.
  bool Begin(const Json& id, const std::shared_ptr<Exchange>& exchange);
  // Of this exchange only: `id` may have been taken by another.
  void End(const Json& id, const Exchange* exchange);
  // Ids that are not there are ignored: answers and cancellations cross.
  void CancelOne(const Json& id, CancelReason reason);
  void CancelAll(CancelReason reason);

  // Subscriptions to resources. True if the call changed the set.
  enum class Subscribed { kAdded, kAlready, kTooMany };
  Subscribed Subscribe(const std::string& uri, std::size_t limit);
  bool Unsubscribe(const std::string& uri);
  bool IsSubscribed(const std::string& uri) const;
  std::vector<std::string> TakeSubscriptions();

  void Send(const Json& message) { send_(message); }

  // A question to the client. Ask sends it through `sink`; Await waits for the answer.
  // kCancelled: Interrupt was called, or the client is gone; kTimedOut; kUnavailable: it answered
  // with an error.
  std::int64_t Ask(Sink& sink, const InputRequest& request);
  Result<Json> Await(std::int64_t question, SteadyTime deadline,
                     const std::function<bool()>& interrupted);
  // The client answered; answers without a question are ignored.
  void Resolve(const Response& response);
  // Makes every Await look at its `interrupted` again.
  void Interrupt();

 private:
  const std::string principal_;
  const std::function<void(const Json&)> send_;
  mutable std::mutex mutex_;
  std::condition_variable answered_;
  bool opened_ = false;
  std::string version_{kAssumedLegacyVersion};
  Json capabilities_ = Json::object();
  ClientInfo client_;
  LogLevel log_level_ = LogLevel::kInfo;
  std::map<std::string, std::shared_ptr<Exchange>> exchanges_;
  std::set<std::string> subscriptions_;
  std::int64_t next_question_ = 1;
  std::map<std::int64_t, std::optional<Response>> questions_;
};

}  // namespace pyro::mcp
