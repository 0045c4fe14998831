// What answers messages, whatever they came by: one dispatch for both transports and both eras.

#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "mcp/call.h"
#include "mcp/catalog.h"
#include "mcp/eras.h"
#include "mcp/listens.h"
#include "mcp/message.h"
#include "mcp/peer.h"
#include "mcp/server.h"
#include "mcp/state_token.h"
#include "mcp/worker_pool.h"

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

  // What refuses a request before any handler sees it: an unknown method (-32601), a capability
  // that the client did not declare (-32021). nullopt: nothing does.
  std::optional<RpcError> Refusal(const Request& request, const RequestScope& scope) const;

  // Answers through `sink`, now or later. What comes back takes the client's cancellation; nullptr
  // when the answer is given already.
  std::shared_ptr<Exchange> Handle(Request request, RequestScope scope, std::shared_ptr<Sink> sink);
  void Handle(const Notification& notification, const std::shared_ptr<Peer>& peer);

  // A client that stays: it hears of changes until it is removed.
  void AddPeer(const std::shared_ptr<Peer>& peer);
  // Cancels its calls and forgets what it watches.
  void RemovePeer(const std::shared_ptr<Peer>& peer, CancelReason reason);

  // Ends everything that is being answered; `modern` calls of HTTP are its transport's.
  void CancelAll(CancelReason reason);
  // false: handlers still run after `wait`.
  bool WaitIdle(std::chrono::milliseconds wait);

  // Of subscriptions, by what `subscribe` and listens do; counts who watches.
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
  std::mutex mutex_;
  std::set<std::shared_ptr<Peer>> peers_;
  std::map<std::string, std::size_t> watched_;
  double allowance_;
  SteadyTime allowance_at_;
  Listens listens_;
  // Last, so that nothing of the above ends while handlers run. Reads have threads of their own, so
  // that running tools cannot keep a client from asking how they are.
  WorkerPool watches_;
  WorkerPool reads_;
  WorkerPool calls_;
};

}  // namespace pyro::mcp
