#include "mcp/http/http_service.h"

#include <utility>

#include "mcp/http/sse.h"

namespace pyro::mcp {
namespace {

constexpr std::string_view kSessionHeader = "mcp-session-id";
constexpr std::string_view kProtocolVersionHeader = "mcp-protocol-version";
constexpr std::string_view kLastEventHeader = "last-event-id";
// The first revision whose clients know events without a message.
constexpr std::string_view kHasPrimer = "2025-11-25";

HttpPolicy PolicyOf(const HttpOptions& options) {
  HttpPolicy policy{.path = options.path,
                    .bearer_token = options.bearer_token,
                    .allowed_hosts = options.allowed_hosts};
  const bool v6 = options.address.find(':') != std::string::npos;
  if (options.address != "0.0.0.0" && options.address != "::") {
    policy.allowed_hosts.push_back(v6 ? "[" + options.address + "]" : options.address);
  }
  return policy;
}

HttpAnswer Accepted() { return {.status = 202, .headers = {}, .body = {}}; }

}  // namespace

HttpService::HttpService(Core& core, const HttpOptions& options)
    : core_(core),
      policy_(PolicyOf(options)),
      principal_(options.bearer_token.empty() ? "local" : "token"),
      sessions_(options.limits.sessions, options.limits.session_idle) {
  ladder_.refusal = [this](const Request& request, const RequestScope& scope) {
    return core_.Refusal(request, scope);
  };
  ladder_.tool_headers = [this](const Request& request) {
    const auto entry = core_.catalog().FindTool(StringOr(request.params, "name"));
    return entry == nullptr ? std::map<std::string, std::string>() : entry->headers;
  };
}

HttpService::Served HttpService::Serve(HttpRequest request, std::function<void()> wake) {
  if (request.method == "GET") return Listen(request, std::move(wake));
  if (request.method == "DELETE") return Delete(request);
  Classified classified = ClassifyPost(request, ladder_);
  if (auto* answer = std::get_if<HttpAnswer>(&classified)) return std::move(*answer);
  if (auto* modern = std::get_if<ModernMessage>(&classified)) {
    return ServeModern(std::move(*modern), std::move(wake));
  }
  return ServeLegacy(request, std::get<LegacyMessage>(std::move(classified)), std::move(wake));
}

HttpService::Served HttpService::ServeModern(ModernMessage message, std::function<void()> wake) {
  // No subject of a notification outlives its own request.
  auto* request = std::get_if<Request>(&message.message);
  if (request == nullptr) return Accepted();
  HttpStreaming streaming;
  streaming.stream = std::make_shared<HttpStream>(HttpStream::Options{});
  streaming.ticket = streaming.stream->Attach(0, std::move(wake));
  streaming.closing_cancels = true;
  message.scope.principal = principal_;
  streaming.exchange =
      core_.Handle(std::move(*request), std::move(message.scope), streaming.stream);
  if (streaming.exchange != nullptr) {
    const std::lock_guard lock(mutex_);
    modern_.insert(streaming.exchange);
  }
  return streaming;
}

HttpService::Served HttpService::Open(Request request, std::function<void()> wake) {
  auto added = sessions_.Add(principal_, std::chrono::steady_clock::now());
  if (!added) {
    return ErrorAnswer(503, request.id,
                       {.code = kServerError, .message = "too many sessions are in use"});
  }
  Remove(added->removed, CancelReason::kPeerGone);
  const auto& session = added->session;
  core_.AddPeer(session->peer());
  HttpStreaming streaming;
  streaming.stream = std::make_shared<HttpStream>(HttpStream::Options{});
  streaming.ticket = streaming.stream->Attach(0, std::move(wake));
  streaming.headers.emplace_back("Mcp-Session-Id", session->id());
  core_.Handle(std::move(request), session->peer()->Scope(session->peer()), streaming.stream);
  if (session->peer()->Scope(nullptr).version >= kHasPrimer) session->standalone()->AllowPrimer();
  return streaming;
}

HttpService::Served HttpService::ServeLegacy(const HttpRequest& http, LegacyMessage message,
                                             std::function<void()> wake) {
  auto* request = std::get_if<Request>(&message.message);
  if (request != nullptr && request->method == "initialize") {
    return Open(std::move(*request), std::move(wake));
  }
  auto found = SessionOf(http, request == nullptr ? Json() : request->id);
  if (auto* answer = std::get_if<HttpAnswer>(&found)) return std::move(*answer);
  const auto& session = std::get<std::shared_ptr<HttpSession>>(found);
  const auto& peer = session->peer();
  if (const auto* notification = std::get_if<Notification>(&message.message)) {
    core_.Handle(*notification, peer);
    return Accepted();
  }
  if (const auto* response = std::get_if<Response>(&message.message)) {
    peer->Resolve(*response);
    return Accepted();
  }
  RequestScope scope = peer->Scope(peer);
  HttpStreaming streaming;
  streaming.stream = session->NewStream(scope.version >= kHasPrimer);
  streaming.ticket = streaming.stream->Attach(0, std::move(wake));
  streaming.answered_whole = [session, name = streaming.stream->name()] { session->Forget(name); };
  streaming.exchange = core_.Handle(std::move(*request), std::move(scope), streaming.stream);
  return streaming;
}

std::variant<std::shared_ptr<HttpSession>, HttpAnswer> HttpService::SessionOf(
    const HttpRequest& request, const Json& id) {
  const auto version = request.Header(kProtocolVersionHeader);
  if (version && !IsLegacyVersion(*version)) {
    return ErrorAnswer(
        400, id,
        {.code = kServerError, .message = "Bad Request: unsupported MCP-Protocol-Version"});
  }
  const auto session_id = request.Header(kSessionHeader);
  if (!session_id) {
    return ErrorAnswer(400, id,
                       {.code = kServerError, .message = "Bad Request: Mcp-Session-Id is missing"});
  }
  auto session = sessions_.Find(*session_id, std::chrono::steady_clock::now());
  if (session == nullptr) {
    return ErrorAnswer(404, id, {.code = kSessionNotFound, .message = "Session not found"});
  }
  return session;
}

HttpService::Served HttpService::Listen(const HttpRequest& request, std::function<void()> wake) {
  auto found = SessionOf(request, nullptr);
  if (auto* answer = std::get_if<HttpAnswer>(&found)) return std::move(*answer);
  const auto& session = std::get<std::shared_ptr<HttpSession>>(found);
  HttpStreaming streaming;
  streaming.at_once = true;
  if (const auto last = request.Header(kLastEventHeader)) {
    const auto id = ParseEventId(*last);
    streaming.stream = id ? session->FindStream(id->stream) : nullptr;
    if (streaming.stream == nullptr) {
      return ErrorAnswer(400, kServerError, "Bad Request: Last-Event-ID is not known (any more)");
    }
    streaming.ticket = streaming.stream->Attach(id->number, std::move(wake));
    return streaming;
  }
  streaming.stream = session->standalone();
  if (streaming.stream->attached()) {
    return ErrorAnswer(409, kServerError, "Conflict: this session has a GET stream already");
  }
  streaming.ticket = streaming.stream->Attach(HttpStream::kNow, std::move(wake));
  return streaming;
}

HttpAnswer HttpService::Delete(const HttpRequest& request) {
  auto found = SessionOf(request, nullptr);
  if (auto* answer = std::get_if<HttpAnswer>(&found)) return std::move(*answer);
  const auto session = sessions_.Remove(std::get<std::shared_ptr<HttpSession>>(found)->id());
  if (session != nullptr) Remove({session}, CancelReason::kPeerGone);
  return {.status = 200, .headers = {}, .body = {}};
}

void HttpService::Done(const HttpStreaming& streaming, bool gone) {
  streaming.stream->Detach(streaming.ticket);
  if (streaming.exchange == nullptr || !streaming.closing_cancels) return;
  if (gone) streaming.exchange->Cancel(CancelReason::kRequested);
  const std::lock_guard lock(mutex_);
  modern_.erase(streaming.exchange);
}

void HttpService::Remove(const std::vector<std::shared_ptr<HttpSession>>& sessions,
                         CancelReason reason) {
  for (const auto& session : sessions) {
    core_.RemovePeer(session->peer(), reason);
    session->standalone()->Drop();
  }
}

void HttpService::RemoveIdleSessions() {
  Remove(sessions_.RemoveIdle(std::chrono::steady_clock::now()), CancelReason::kPeerGone);
}

void HttpService::Shutdown() {
  std::set<std::shared_ptr<Exchange>> modern;
  {
    const std::lock_guard lock(mutex_);
    modern = modern_;
  }
  core_.CancelAll(CancelReason::kShutdown);
  for (const auto& exchange : modern) exchange->Cancel(CancelReason::kShutdown);
  Remove(sessions_.TakeAll(), CancelReason::kShutdown);
}

}  // namespace pyro::mcp
