// Answers messages of both transports and both eras in one dispatch.

#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "mcp/protocol/eras.h"
#include "mcp/protocol/message.h"
#include "mcp/server/call.h"
#include "mcp/server/catalog.h"
#include "mcp/server/listens.h"
#include "mcp/server/peer.h"
#include "mcp/server/server.h"
#include "mcp/server/state_token.h"
#include "mcp/server/worker_pool.h"

namespace pyro::mcp {

// Thread-safe. Never waits for a handler.
class Core {
 public:
  explicit Core(ServerOptions options);
  ~Core();

  const ServerOptions& options() const { return options_; }
  Catalog& catalog() { return catalog_; }
  const Json& server_info() const { return server_info_; }
  TaskStore* task_store() const { return task_store_.get(); }
  void SetTaskStore(std::shared_ptr<TaskStore> store) { task_store_ = std::move(store); }
  void SetWatchHandler(WatchHandler handler) { watch_handler_ = std::move(handler); }

  // The error of a request that is refused before any handler sees it: an unknown method (-32601),
  // a capability that the client did not declare (-32021). nullopt: it is not refused.
  std::optional<RpcError> Refusal(const Request& request, const RequestScope& scope) const;

  // Answers through `sink`, now or later. The returned object takes the client's cancellation;
  // nullptr if the answer is already given.
  std::shared_ptr<Exchange> Handle(Request request, RequestScope scope, std::shared_ptr<Sink> sink);
  void Handle(const Notification& notification, const std::shared_ptr<Peer>& peer);

  // Adds a client that stays: it hears of changes until it is removed.
  void AddPeer(const std::shared_ptr<Peer>& peer);
  // Cancels its calls and ends its subscriptions.
  void RemovePeer(const std::shared_ptr<Peer>& peer, CancelReason reason);

  // Ends every request that is being answered; `modern` calls of HTTP belong to its transport.
  void CancelAll(CancelReason reason);
  // false: handlers still run after `wait`.
  bool WaitIdle(std::chrono::milliseconds wait);

  // Called by `subscribe` and by listens; counts the watchers of each URI.
  void CountWatch(const std::string& uri, bool watched);

  void PublishResourceUpdated(const std::string& uri);
  enum class List { kTools, kPrompts, kResources };
  void PublishListChanged(List list);
  void PublishTask(const TaskState& state);

  // Of tools; false: the client calls too often.
  bool TakeCallAllowance();
  const StateSealer& sealer() const { return sealer_; }

 private:
  struct Method;
  static const Method* FindMethod(Era era, const std::string& name);
  void Run(const Method& method, const std::shared_ptr<Call>& call);
  std::shared_ptr<Exchange> Listen(const Request& request, const RequestScope& scope,
                                   std::shared_ptr<Sink> sink);

  const ServerOptions options_;
  const Json server_info_;
  Catalog catalog_;
  StateSealer sealer_;
  std::shared_ptr<TaskStore> task_store_;
  WatchHandler watch_handler_;
  std::once_flag client_came_;
  std::mutex mutex_;
  std::set<std::shared_ptr<Peer>> peers_;
  std::map<std::string, std::size_t> watched_;
  double allowance_;
  SteadyTime allowance_at_;
  Listens listens_;
  // Last, so that no member above is destroyed while handlers run. Reads have threads of their own,
  // so that a client can ask about running tools at any time.
  WorkerPool watches_;
  WorkerPool reads_;
  WorkerPool calls_;
};

}  // namespace pyro::mcp
