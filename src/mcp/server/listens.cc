#include "mcp/server/listens.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "mcp/protocol/uri_template.h"
#include "mcp/server/call.h"
#include "mcp/server/peer.h"

namespace pyro::mcp {
namespace {

std::set<std::string> Names(const Json& filter, std::string_view key, std::size_t max_names) {
  std::set<std::string> names;
  const Json* list = Find(filter, key);
  if (list == nullptr || !list->is_array()) return names;
  for (const Json& name : *list) {
    if (names.size() >= max_names) break;
    if (name.is_string() && name.get_ref<const std::string&>().size() <= kMaxUriBytes) {
      names.insert(name.get<std::string>());
    }
  }
  return names;
}

bool Flag(const Json& filter, std::string_view key) {
  const Json* flag = Find(filter, key);
  return flag != nullptr && flag->is_boolean() && flag->get<bool>();
}

}  // namespace

ListenFilter ListenFilter::Parse(const Json& params, const ListenFilter& offered,
                                 std::size_t max_names) {
  ListenFilter filter;
  const Json* wanted = Find(params, "notifications");
  if (wanted == nullptr) return filter;
  filter.tools = offered.tools && Flag(*wanted, "toolsListChanged");
  filter.prompts = offered.prompts && Flag(*wanted, "promptsListChanged");
  filter.resources = offered.resources && Flag(*wanted, "resourcesListChanged");
  if (offered.resources) filter.uris = Names(*wanted, "resourceSubscriptions", max_names);
  if (!offered.task_ids.empty()) filter.task_ids = Names(*wanted, "taskIds", max_names);
  return filter;
}

Json ListenFilter::ToJson() const {
  Json json = Json::object();
  if (tools) json["toolsListChanged"] = true;
  if (prompts) json["promptsListChanged"] = true;
  if (resources) json["resourcesListChanged"] = true;
  if (!uris.empty()) json["resourceSubscriptions"] = uris;
  if (!task_ids.empty()) json["taskIds"] = task_ids;
  return json;
}

class Listens::Listen final : public Exchange, public std::enable_shared_from_this<Listen> {
 public:
  Listen(Listens& owner, const Request& request, const RequestScope& scope,
         std::shared_ptr<Sink> sink, ListenFilter wanted)
      : filter(std::move(wanted)),
        owner_(owner),
        id_(request.id),
        peer_(scope.peer),
        sink_(std::move(sink)) {}

  void Send(std::string_view method, Json params) {
    params["_meta"][std::string(kSubscriptionKey)] = id_;
    sink_->Send(MakeNotification(method, std::move(params)), Sink::Kind::kMessage);
  }

  // A client's own end is silent; the server's is an answer, with which the stream closes.
  void Cancel(CancelReason reason) override {
    const auto self = shared_from_this();
    if (ended_.exchange(true)) return;
    if (peer_ != nullptr) peer_->End(id_, this);
    owner_.Forget(this);
    if (reason != CancelReason::kShutdown) {
      sink_->Drop();
      return;
    }
    Reply reply;
    reply.result["_meta"][std::string(kSubscriptionKey)] = id_;
    sink_->Finish(
        MakeResponse(id_, ShapeResult(Era::kModern, std::move(reply), owner_.server_info_)), 200);
  }

  const ListenFilter filter;

 private:
  Listens& owner_;
  const Json id_;
  const std::shared_ptr<Peer> peer_;
  const std::shared_ptr<Sink> sink_;
  std::atomic<bool> ended_ = false;
};

Listens::Listens(std::size_t limit, Json server_info, OnUri on_uri)
    : limit_(limit), server_info_(std::move(server_info)), on_uri_(std::move(on_uri)) {}

std::variant<std::shared_ptr<Exchange>, RpcError> Listens::Open(const Request& request,
                                                                const RequestScope& scope,
                                                                std::shared_ptr<Sink> sink,
                                                                ListenFilter filter) {
  auto listen = std::make_shared<Listen>(*this, request, scope, std::move(sink), std::move(filter));
  if (scope.peer != nullptr && !scope.peer->Begin(request.id, listen)) return IdInUse();
  Json params = Json::object();
  params["notifications"] = listen->filter.ToJson();
  {
    const std::lock_guard lock(mutex_);
    if (open_.size() >= limit_) {
      if (scope.peer != nullptr) scope.peer->End(request.id, listen.get());
      return RpcError{.code = kInternalError, .message = "too many open subscriptions"};
    }
    // Under the lock, so that no notification comes before the acknowledgement.
    listen->Send("notifications/subscriptions/acknowledged", std::move(params));
    open_.push_back(listen);
  }
  for (const std::string& uri : listen->filter.uris) on_uri_(uri, true);
  return listen;
}

void Listens::Publish(std::string_view method, const Json& params,
                      const std::function<bool(const ListenFilter&)>& wants) {
  const std::lock_guard lock(mutex_);
  for (const auto& listen : open_) {
    if (wants(listen->filter)) listen->Send(method, params);
  }
}

void Listens::CancelAll(CancelReason reason) {
  std::vector<std::shared_ptr<Listen>> all;
  {
    const std::lock_guard lock(mutex_);
    all = open_;
  }
  for (const auto& listen : all) listen->Cancel(reason);
}

void Listens::Forget(const Listen* listen) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(open_, [&](const auto& other) { return other.get() == listen; });
  }
  for (const std::string& uri : listen->filter.uris) on_uri_(uri, false);
}

}  // namespace pyro::mcp
