// Open subscriptions/listen requests of the modern era.

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "mcp/protocol/eras.h"
#include "mcp/protocol/message.h"
#include "mcp/protocol/sink.h"

namespace pyro::mcp {

// The subscriptions of one client.
struct ListenFilter {
  bool tools = false;
  bool prompts = false;
  bool resources = false;
  std::set<std::string> uris;
  std::set<std::string> task_ids;

  // Leaves out unknown names and those that this server does not offer: the result is the granted
  // set.
  static ListenFilter Parse(const Json& params, const ListenFilter& offered, std::size_t max_names);
  Json ToJson() const;
};

// Thread-safe.
class Listens {
 public:
  // Calls `on_uri` for each URI that a listen begins or ends to watch.
  using OnUri = std::function<void(const std::string& uri, bool watched)>;
  Listens(std::size_t limit, Json server_info, OnUri on_uri);

  // Acknowledges and keeps it. An error: there are too many, or its id is being answered.
  std::variant<std::shared_ptr<Exchange>, RpcError> Open(const Request& request,
                                                         const RequestScope& scope,
                                                         std::shared_ptr<Sink> sink,
                                                         ListenFilter filter);

  // To every listen that `wants` it.
  void Publish(std::string_view method, const Json& params,
               const std::function<bool(const ListenFilter&)>& wants);

  void CancelAll(CancelReason reason);

 private:
  class Listen;
  void Forget(const Listen* listen);

  const std::size_t limit_;
  const Json server_info_;
  const OnUri on_uri_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Listen>> open_;
};

}  // namespace pyro::mcp
