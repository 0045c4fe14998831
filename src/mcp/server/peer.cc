#include "mcp/server/peer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::mcp {

void Peer::Open(std::string version, Json capabilities, ClientInfo client) {
  const std::lock_guard lock(mutex_);
  opened_ = true;
  version_ = std::move(version);
  capabilities_ = std::move(capabilities);
  client_ = std::move(client);
}

bool Peer::opened() const {
  const std::lock_guard lock(mutex_);
  return opened_;
}

RequestScope Peer::Scope(const std::shared_ptr<Peer>& self) const {
  const std::lock_guard lock(mutex_);
  RequestScope scope;
  scope.era = Era::kLegacy;
  scope.version = version_;
  scope.capabilities = capabilities_;
  scope.client = client_;
  scope.principal = principal_;
  scope.peer = self;
  return scope;
}

void Peer::SetLogLevel(LogLevel level) {
  const std::lock_guard lock(mutex_);
  log_level_ = level;
}

LogLevel Peer::log_level() const {
  const std::lock_guard lock(mutex_);
  return log_level_;
}

bool Peer::Begin(const Json& id, const std::shared_ptr<Exchange>& exchange) {
  const std::lock_guard lock(mutex_);
  return exchanges_.emplace(IdKey(id), exchange).second;
}

void Peer::End(const Json& id, const Exchange* exchange) {
  std::shared_ptr<Exchange> ended;  // Destroyed outside the lock.
  const std::lock_guard lock(mutex_);
  const auto it = exchanges_.find(IdKey(id));
  if (it == exchanges_.end() || it->second.get() != exchange) return;
  ended = std::move(it->second);
  exchanges_.erase(it);
}

void Peer::CancelOne(const Json& id, CancelReason reason) {
  std::shared_ptr<Exchange> exchange;
  {
    const std::lock_guard lock(mutex_);
    const auto it = exchanges_.find(IdKey(id));
    if (it == exchanges_.end()) return;
    exchange = it->second;
  }
  exchange->Cancel(reason);
}

void Peer::CancelAll(CancelReason reason) {
  std::vector<std::shared_ptr<Exchange>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, exchange] : exchanges_) all.push_back(exchange);
  }
  for (const auto& exchange : all) exchange->Cancel(reason);
}

Peer::Subscribed Peer::Subscribe(const std::string& uri, std::size_t limit) {
  const std::lock_guard lock(mutex_);
  if (subscriptions_.count(uri) != 0) return Subscribed::kAlready;
  if (subscriptions_.size() >= limit) return Subscribed::kTooMany;
  subscriptions_.insert(uri);
  return Subscribed::kAdded;
}

bool Peer::Unsubscribe(const std::string& uri) {
  const std::lock_guard lock(mutex_);
  return subscriptions_.erase(uri) != 0;
}

bool Peer::IsSubscribed(const std::string& uri) const {
  const std::lock_guard lock(mutex_);
  return subscriptions_.count(uri) != 0;
}

std::vector<std::string> Peer::TakeSubscriptions() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> taken(subscriptions_.begin(), subscriptions_.end());
  subscriptions_.clear();
  return taken;
}

std::int64_t Peer::Ask(Sink& sink, const InputRequest& request) {
  std::int64_t question = 0;
  {
    const std::lock_guard lock(mutex_);
    question = next_question_++;
    questions_.emplace(question, std::nullopt);
  }
  sink.Send(MakeRequest(question, request.method, request.params), Sink::Kind::kMessage);
  return question;
}

Result<Json> Peer::Await(std::int64_t question, SteadyTime deadline,
                         const std::function<bool()>& interrupted) {
  std::unique_lock lock(mutex_);
  bool stop = false;
  answered_.wait_until(lock, deadline, [&] {
    stop = interrupted();
    return stop || questions_.at(question).has_value();
  });
  const std::optional<Response> response = std::move(questions_.at(question));
  questions_.erase(question);
  if (response && response->error) {
    return MakeError(ErrorCode::kUnavailable, fmt::format("the client did not answer: {}",
                                                          Printable(response->error->message)));
  }
  if (response) return response->result;
  if (stop) return MakeError(ErrorCode::kCancelled, "the call was cancelled");
  return MakeError(ErrorCode::kTimedOut, "the client did not answer in time");
}

void Peer::Resolve(const Response& response) {
  if (!response.id.is_number_integer()) return;
  {
    const std::lock_guard lock(mutex_);
    const auto it = questions_.find(response.id.get<std::int64_t>());
    if (it == questions_.end() || it->second) return;
    it->second = response;
  }
  answered_.notify_all();
}

void Peer::Interrupt() {
  { const std::lock_guard lock(mutex_); }
  answered_.notify_all();
}

}  // namespace pyro::mcp
