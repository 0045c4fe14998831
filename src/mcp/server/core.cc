#include "mcp/server/core.h"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "mcp/protocol/task_json.h"
#include "mcp/server/methods.h"

namespace pyro::mcp {
namespace {

constexpr std::size_t kReadWorkers = 4;
constexpr std::size_t kBurst = 10;

Json ServerInfo(const ServerOptions& options) {
  Json info = Json::object();
  info["name"] = options.name;
  info["version"] = options.version;
  if (!options.title.empty()) info["title"] = options.title;
  if (!options.description.empty()) info["description"] = options.description;
  if (!options.website.empty()) info["websiteUrl"] = options.website;
  return info;
}

}  // namespace

struct Core::Method {
  enum class Runs { kInline, kReads, kCalls };
  enum class Needs { kNothing, kTasks };

  std::string_view name;
  bool legacy;
  bool modern;
  Runs runs;
  Outcome (*function)(Core& core, Call& call);
  bool asks = false;  // May end with input_required.
  Needs needs = Needs::kNothing;
};

const Core::Method* Core::FindMethod(Era era, const std::string& name) {
  using Runs = Method::Runs;
  using Needs = Method::Needs;
  static constexpr std::array kMethods = {
      Method{"initialize", true, false, Runs::kInline, Initialize},
      Method{"ping", true, false, Runs::kInline, Ping},
      Method{"server/discover", false, true, Runs::kInline, Discover},
      Method{"logging/setLevel", true, false, Runs::kInline, SetLogLevel},
      Method{"tools/list", true, true, Runs::kInline, ListTools},
      Method{"tools/call", true, true, Runs::kCalls, CallTool, true},
      Method{"resources/list", true, true, Runs::kReads, ListResources},
      Method{"resources/templates/list", true, true, Runs::kInline, ListResourceTemplates},
      Method{"resources/read", true, true, Runs::kCalls, ReadResource, true},
      Method{"resources/subscribe", true, false, Runs::kInline, Subscribe},
      Method{"resources/unsubscribe", true, false, Runs::kInline, Unsubscribe},
      Method{"prompts/list", true, true, Method::Runs::kInline, ListPrompts},
      Method{"prompts/get", true, true, Method::Runs::kCalls, GetPrompt, true},
      Method{"completion/complete", true, true, Method::Runs::kReads, Complete},
      Method{"subscriptions/listen", false, true, Method::Runs::kInline, nullptr},
      Method{"tasks/get", false, true, Method::Runs::kReads, GetTask, false, Needs::kTasks},
      Method{"tasks/update", false, true, Method::Runs::kReads, UpdateTask, false, Needs::kTasks},
      Method{"tasks/cancel", false, true, Method::Runs::kReads, CancelTask, false, Needs::kTasks},
  };
  const auto* it = std::find_if(kMethods.begin(), kMethods.end(), [&](const Method& method) {
    return method.name == name && (era == Era::kLegacy ? method.legacy : method.modern);
  });
  return it == kMethods.end() ? nullptr : it;
}

Core::Core(ServerOptions options)
    : options_(std::move(options)),
      server_info_(ServerInfo(options_)),
      sealer_(options_.limits.state_lifetime),
      allowance_(static_cast<double>(options_.limits.calls_per_second * kBurst)),
      allowance_at_(std::chrono::steady_clock::now()),
      listens_(options_.limits.listens, server_info_,
               [this](const std::string& uri, bool watched) { CountWatch(uri, watched); }),
      watches_(1, options_.limits.queued_calls * 16),
      reads_(kReadWorkers, options_.limits.queued_calls),
      calls_(options_.limits.workers, options_.limits.queued_calls) {}

Core::~Core() { CancelAll(CancelReason::kShutdown); }

std::optional<RpcError> Core::Refusal(const Request& request, const RequestScope& scope) const {
  const Method* method = FindMethod(scope.era, request.method);
  if (method == nullptr || (method->needs == Method::Needs::kTasks && task_store_ == nullptr)) {
    return RpcError{.code = kMethodNotFound,
                    .message = fmt::format("Method not found: {}", Printable(request.method, 80)),
                    .http_status = 404};
  }
  if (scope.era == Era::kLegacy) return std::nullopt;
  Json required = Json::object();
  if (method->needs == Method::Needs::kTasks) {
    required["extensions"][std::string(kTasksExtension)] = Json::object();
  }
  if (request.method == "tools/call") {
    const auto entry = catalog_.FindTool(StringOr(request.params, "name"));
    if (entry != nullptr) {
      required.update(entry->tool.required_capabilities);
      if (entry->tool.task_support == TaskSupport::kRequired) {
        required["extensions"][std::string(kTasksExtension)] = Json::object();
      }
    }
  }
  Json missing = MissingCapabilities(required, scope.capabilities);
  if (missing.empty()) return std::nullopt;
  return MissingCapabilityError(std::move(missing));
}

std::shared_ptr<Exchange> Core::Handle(Request request, RequestScope scope,
                                       std::shared_ptr<Sink> sink) {
  const auto refuse = [&](const RpcError& error) {
    const int status = scope.era == Era::kModern ? error.http_status : 200;
    sink->Finish(MakeErrorResponse(request.id, error), status);
    return nullptr;
  };
  if (auto refusal = Refusal(request, scope)) return refuse(*refusal);
  const Method& method = *FindMethod(scope.era, request.method);
  if (method.function == nullptr) return Listen(request, scope, std::move(sink));

  Call::Settings settings{.logging = options_.logging,
                          .tasks = task_store_ != nullptr,
                          .answer_wait = options_.limits.answer_wait,
                          .server_info = server_info_,
                          .seal = {}};
  if (method.asks && scope.era == Era::kModern) {
    settings.seal = [this, binding = StateBinding(request, scope)](const InputAnswers& answers) {
      return sealer_.Seal(Json(answers), binding);
    };
  }
  const auto peer = scope.peer;
  const Json id = request.id;
  auto made = Call::Create(request, scope, sink, std::move(settings));
  if (!made) {
    return refuse({.code = kInternalError, .message = made.error().message, .http_status = 503});
  }
  const std::shared_ptr<Call> call = *std::move(made);
  if (method.runs == Method::Runs::kInline) {
    call->Finish(method.function(*this, *call));
    if (options_.on_client) std::call_once(client_came_, options_.on_client);
    return nullptr;
  }
  if (peer != nullptr && !peer->Begin(id, call)) {
    return refuse(IdInUse());
  }
  WorkerPool& pool = method.runs == Method::Runs::kCalls ? calls_ : reads_;
  if (!pool.Submit([this, &method, call] { Run(method, call); })) {
    call->Finish(RpcError{.code = kServerError,
                          .message = "the server is busy: too many calls wait already",
                          .http_status = 503});
    return nullptr;
  }
  return call;
}

void Core::Run(const Method& method, const std::shared_ptr<Call>& call) {
  if (call->cancelled()) {
    call->Finish(Reply());
    return;
  }
  if (method.asks && call->era() == Era::kModern) {
    if (auto error = ReadAnswers(*this, *call)) {
      call->Finish(*std::move(error));
      return;
    }
  }
  // The JSON library throws if a handler mistakes a type. One such call must not end the others.
  Outcome outcome;
  try {
    outcome = method.function(*this, *call);
  } catch (const std::exception& exception) {
    outcome = RpcError{.code = kInternalError,
                       .message = fmt::format("internal error: {}", Printable(exception.what()))};
  }
  if (auto interruption = call->TakeInterruption()) outcome = *std::move(interruption);
  call->Finish(std::move(outcome));
}

std::shared_ptr<Exchange> Core::Listen(const Request& request, const RequestScope& scope,
                                       std::shared_ptr<Sink> sink) {
  const Catalog::Offers offers = catalog_.offers();
  ListenFilter offered{.tools = offers.tools,
                       .prompts = offers.prompts,
                       .resources = offers.resources,
                       .uris = {},
                       .task_ids = {}};
  if (task_store_ != nullptr) offered.task_ids.insert("any");
  ListenFilter filter =
      ListenFilter::Parse(request.params, offered, options_.limits.watched_per_client);
  auto opened = listens_.Open(request, scope, sink, std::move(filter));
  if (const auto* error = std::get_if<RpcError>(&opened)) {
    sink->Finish(MakeErrorResponse(request.id, *error), 200);
    return nullptr;
  }
  return std::get<std::shared_ptr<Exchange>>(std::move(opened));
}

void Core::Handle(const Notification& notification, const std::shared_ptr<Peer>& peer) {
  if (peer == nullptr || notification.method != "notifications/cancelled") return;
  if (const Json* id = Find(notification.params, "requestId")) {
    peer->CancelOne(*id, CancelReason::kRequested);
  }
}

void Core::AddPeer(const std::shared_ptr<Peer>& peer) {
  const std::lock_guard lock(mutex_);
  peers_.insert(peer);
}

void Core::RemovePeer(const std::shared_ptr<Peer>& peer, CancelReason reason) {
  {
    const std::lock_guard lock(mutex_);
    peers_.erase(peer);
  }
  peer->CancelAll(reason);
  for (const std::string& uri : peer->TakeSubscriptions()) CountWatch(uri, false);
}

void Core::CancelAll(CancelReason reason) {
  std::set<std::shared_ptr<Peer>> peers;
  {
    const std::lock_guard lock(mutex_);
    peers = peers_;
  }
  for (const auto& peer : peers) peer->CancelAll(reason);
  listens_.CancelAll(reason);
}

bool Core::WaitIdle(std::chrono::milliseconds wait) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + wait;
  bool idle = true;
  for (WorkerPool* pool : {&calls_, &reads_, &watches_}) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    idle = pool->WaitIdle(std::max(left, std::chrono::milliseconds(0))) && idle;
  }
  return idle;
}

void Core::CountWatch(const std::string& uri, bool watched) {
  // The lock is held until the handler's call is queued, so that start and stop keep their order.
  const std::lock_guard lock(mutex_);
  std::size_t& count = watched_[uri];
  count += watched ? 1 : static_cast<std::size_t>(-1);
  if (count > (watched ? 1U : 0U)) return;
  if (count == 0) watched_.erase(uri);
  if (!watch_handler_) return;
  watches_.Submit(
      [this, uri, watched] { watch_handler_(uri, watched ? Watch::kStarted : Watch::kStopped); });
}

void Core::PublishResourceUpdated(const std::string& uri) {
  Json params = Json::object();
  params["uri"] = uri;
  std::vector<std::shared_ptr<Peer>> peers;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& peer : peers_) {
      if (peer->IsSubscribed(uri)) peers.push_back(peer);
    }
  }
  const Json message = MakeNotification("notifications/resources/updated", params);
  for (const auto& peer : peers) peer->Send(message);
  listens_.Publish("notifications/resources/updated", params,
                   [&](const ListenFilter& filter) { return filter.uris.count(uri) != 0; });
}

void Core::PublishListChanged(List list) {
  const std::string_view method = list == List::kTools     ? "notifications/tools/list_changed"
                                  : list == List::kPrompts ? "notifications/prompts/list_changed"
                                                           : "notifications/resources/list_changed";
  std::vector<std::shared_ptr<Peer>> peers;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& peer : peers_) {
      if (peer->opened()) peers.push_back(peer);
    }
  }
  const Json message = MakeNotification(method, nullptr);
  for (const auto& peer : peers) peer->Send(message);
  listens_.Publish(method, Json::object(), [&](const ListenFilter& filter) {
    if (list == List::kTools) return filter.tools;
    return list == List::kPrompts ? filter.prompts : filter.resources;
  });
}

void Core::PublishTask(const TaskState& state) {
  listens_.Publish("notifications/tasks", TaskJson(state), [&](const ListenFilter& filter) {
    return filter.task_ids.count(state.id) != 0;
  });
}

bool Core::TakeCallAllowance() {
  const std::lock_guard lock(mutex_);
  const auto rate = static_cast<double>(options_.limits.calls_per_second);
  const SteadyTime now = std::chrono::steady_clock::now();
  const double seconds = std::chrono::duration<double>(now - allowance_at_).count();
  allowance_ = std::min(allowance_ + seconds * rate, rate * static_cast<double>(kBurst));
  allowance_at_ = now;
  if (allowance_ < 1) return false;
  allowance_ -= 1;
  return true;
}

}  // namespace pyro::mcp
