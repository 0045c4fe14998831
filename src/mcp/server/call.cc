#include "mcp/server/call.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "mcp/protocol/input_request.h"
#include "mcp/server/peer.h"
#include "sys/errno_error.h"

namespace pyro::mcp {
namespace {

Json ProgressToken(const Json& params) {
  const Json* meta = Find(params, "_meta");
  const Json* token = meta == nullptr ? nullptr : Find(*meta, "progressToken");
  if (token == nullptr) return nullptr;
  if (token->is_number_integer()) return *token;
  if (token->is_string() && token->get_ref<const std::string&>().size() <= kMaxIdBytes) {
    return *token;
  }
  return nullptr;
}

// Whole numbers are written as such.
Json Number(double value) {
  if (std::floor(value) == value && std::fabs(value) < 1e15)
    return static_cast<std::int64_t>(value);
  return value;
}

}  // namespace

bool CallContext::HasCapability(std::string_view name) const {
  return Find(client_capabilities(), name) != nullptr;
}

Json ShapeResult(Era era, Reply reply, const Json& server_info) {
  if (era == Era::kLegacy) return std::move(reply.result);
  Json& result = reply.result;
  result["resultType"] = reply.result_type;
  if (reply.cache && reply.result_type == "complete") {
    result["ttlMs"] = reply.cache->ttl_ms;
    result["cacheScope"] = reply.cache->shared ? "public" : "private";
  }
  result["_meta"][std::string(kServerInfoKey)] = server_info;
  return std::move(result);
}

Result<std::shared_ptr<Call>> Call::Create(Request request, RequestScope scope,
                                           std::shared_ptr<Sink> sink, Settings settings) {
  sys::UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return sys::ErrnoError(errno, "eventfd");
  return std::shared_ptr<Call>(new Call(std::move(request), std::move(scope), std::move(sink),
                                        std::move(settings), std::move(fd)));
}

Call::Call(Request request, RequestScope scope, std::shared_ptr<Sink> sink, Settings settings,
           sys::UniqueFd cancel_fd)
    : request_(std::move(request)),
      scope_(std::move(scope)),
      sink_(std::move(sink)),
      settings_(std::move(settings)),
      cancel_fd_(std::move(cancel_fd)),
      progress_token_(ProgressToken(request_.params)) {}

void Call::SetAnswers(InputAnswers known, InputAnswers given) {
  known_ = std::move(known);
  given_ = std::move(given);
}

void Call::Finish(Outcome outcome) {
  if (scope_.peer != nullptr) scope_.peer->End(request_.id, this);
  if (cancelled()) {
    sink_->Drop();
    return;
  }
  if (const auto* error = std::get_if<RpcError>(&outcome)) {
    const int status = scope_.era == Era::kModern ? error->http_status : 200;
    sink_->Finish(MakeErrorResponse(request_.id, *error), status);
    return;
  }
  sink_->Finish(
      MakeResponse(request_.id, ShapeResult(scope_.era, std::get<Reply>(std::move(outcome)),
                                            settings_.server_info)),
      200);
}

std::optional<Outcome> Call::TakeInterruption() {
  const std::lock_guard lock(mutex_);
  return std::exchange(interruption_, std::nullopt);
}

bool Call::MayAnswerWithTask() const {
  if (!settings_.tasks || scope_.era != Era::kModern) return false;
  const Json* extensions = Find(scope_.capabilities, "extensions");
  return extensions != nullptr && Find(*extensions, kTasksExtension) != nullptr;
}

void Call::Progress(double progress, std::optional<double> total, std::string_view message) {
  if (!wants_progress() || cancelled()) return;
  const std::lock_guard lock(mutex_);
  if (!std::isfinite(progress) || (last_progress_ && progress <= *last_progress_)) return;
  last_progress_ = progress;
  Json params = Json::object();
  params["progressToken"] = progress_token_;
  params["progress"] = Number(progress);
  if (total && std::isfinite(*total)) params["total"] = Number(*total);
  if (!message.empty()) params["message"] = CutUtf8(message, kMaxProgressMessage);
  sink_->Send(MakeNotification("notifications/progress", std::move(params)), Sink::Kind::kReport);
}

void Call::Log(LogLevel level, Json data, std::string_view logger) {
  if (!settings_.logging || cancelled()) return;
  std::optional<LogLevel> wanted = scope_.log_level;
  if (scope_.era == Era::kLegacy && scope_.peer != nullptr) wanted = scope_.peer->log_level();
  if (!wanted || level < *wanted) return;
  Json params = Json::object();
  params["level"] = LogLevelName(level);
  if (!logger.empty()) params["logger"] = logger;
  params["data"] = std::move(data);
  sink_->Send(MakeNotification("notifications/message", std::move(params)), Sink::Kind::kReport);
}

void Call::Cancel(CancelReason reason) {
  CancelReason none = CancelReason::kNone;
  if (!reason_.compare_exchange_strong(none, reason)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(cancel_fd_.get(), &one, sizeof one);
  if (scope_.peer != nullptr) scope_.peer->Interrupt();
}

Result<InputAnswers> Call::RequestInput(const InputRequests& requests) {
  if (cancelled()) return MakeError(ErrorCode::kCancelled, "the call was cancelled");
  Json required = Json::object();
  for (const auto& [name, request] : requests) required.update(CapabilityOf(request));
  Json missing = MissingCapabilities(required, scope_.capabilities);
  if (!missing.empty()) {
    const std::string what = missing.begin().key();
    if (scope_.era == Era::kModern) {
      const std::lock_guard lock(mutex_);
      interruption_ = MissingCapabilityError(std::move(missing));
    }
    return MakeError(ErrorCode::kUnavailable,
                     fmt::format("the client cannot be asked: it has no {} capability", what));
  }
  return scope_.era == Era::kLegacy ? AskNow(requests) : AnswersOrLater(requests);
}

Result<InputAnswers> Call::AskNow(const InputRequests& requests) {
  Peer& peer = *scope_.peer;
  std::vector<std::pair<std::string, std::int64_t>> questions;
  for (const auto& [name, request] : requests) {
    questions.emplace_back(name, peer.Ask(*sink_, request));
  }
  const SteadyTime deadline = std::chrono::steady_clock::now() + settings_.answer_wait;
  InputAnswers answers;
  std::optional<Error> failure;
  for (const auto& [name, question] : questions) {
    auto answer =
        peer.Await(question, deadline, [&] { return cancelled() || failure.has_value(); });
    if (answer && !AnswerFits(requests.at(name), *answer)) {
      answer =
          MakeError(ErrorCode::kUnavailable,
                    fmt::format("the client's answer to '{}' is not what was asked for", name));
    }
    if (answer) {
      answers.emplace(name, std::move(*answer));
    } else if (!failure) {
      failure = answer.error();
    }
  }
  if (failure) return *failure;
  return answers;
}

Result<InputAnswers> Call::AnswersOrLater(const InputRequests& requests) {
  const std::lock_guard lock(mutex_);
  InputAnswers answers;
  Json open = Json::object();
  for (const auto& [name, request] : requests) {
    for (InputAnswers* from : {&known_, &given_}) {
      const auto it = from->find(name);
      if (it != from->end() && AnswerFits(request, it->second)) answers.emplace(name, it->second);
    }
    if (answers.count(name) == 0) open[name] = InputRequestJson(request);
  }
  for (const auto& [name, answer] : answers) known_[name] = answer;
  if (open.empty()) return answers;
  Reply reply;
  reply.result_type = "input_required";
  reply.result["inputRequests"] = std::move(open);
  reply.result["requestState"] = settings_.seal(known_);
  interruption_ = std::move(reply);
  return MakeError(ErrorCode::kUnavailable, "the client has to answer first");
}

}  // namespace pyro::mcp
