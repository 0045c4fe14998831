// One request that a handler answers.

#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "mcp/protocol/call_context.h"
#include "mcp/protocol/eras.h"
#include "mcp/protocol/message.h"
#include "mcp/protocol/resource.h"
#include "mcp/protocol/sink.h"
#include "sys/unique_fd.h"

namespace pyro::mcp {

// The result of a method, before it gets the form of its era.
struct Reply {
  Json result = Json::object();
  std::optional<CacheHint> cache;  // Of the six results that a client may keep.
  std::string result_type = "complete";
};
using Outcome = std::variant<Reply, RpcError>;

// Thread-safe.
class Call final : public CallContext, public Exchange {
 public:
  struct Settings {
    bool logging = false;
    bool tasks = false;
    std::chrono::milliseconds answer_wait{0};
    Json server_info;
    // Makes a requestState of the answers known so far.
    std::function<std::string(const InputAnswers& answers)> seal;
  };

  // kUnavailable: out of descriptors.
  static Result<std::shared_ptr<Call>> Create(Request request, RequestScope scope,
                                              std::shared_ptr<Sink> sink, Settings settings);

  const Request& request() const { return request_; }
  const RequestScope& scope() const { return scope_; }
  // Answers to a modern RequestInput. Before the handler runs.
  void SetAnswers(InputAnswers known, InputAnswers given);

  // Sends the answer, or none if the call was cancelled. Once.
  void Finish(Outcome outcome);

  // Replaces the handler's own result: RequestInput has ended.
  std::optional<Outcome> TakeInterruption();

  // CallContext.
  Era era() const override { return scope_.era; }
  const std::string& protocol_version() const override { return scope_.version; }
  const ClientInfo& client() const override { return scope_.client; }
  const Json& client_capabilities() const override { return scope_.capabilities; }
  const std::string& principal() const override { return scope_.principal; }
  bool MayAnswerWithTask() const override;
  bool cancelled() const override { return cancel_reason() != CancelReason::kNone; }
  CancelReason cancel_reason() const override { return reason_.load(); }
  int cancel_fd() const override { return cancel_fd_.get(); }
  bool wants_progress() const override { return !progress_token_.is_null(); }
  void Progress(double progress, std::optional<double> total, std::string_view message) override;
  void Log(LogLevel level, Json data, std::string_view logger) override;
  Result<InputAnswers> RequestInput(const InputRequests& requests) override;
  void ReleaseConnection() override { sink_->Release(); }

  // Exchange.
  void Cancel(CancelReason reason) override;

 private:
  Call(Request request, RequestScope scope, std::shared_ptr<Sink> sink, Settings settings,
       sys::UniqueFd cancel_fd);

  Result<InputAnswers> AskNow(const InputRequests& requests);
  Result<InputAnswers> AnswersOrLater(const InputRequests& requests);

  const Request request_;
  const RequestScope scope_;
  const std::shared_ptr<Sink> sink_;
  const Settings settings_;
  const sys::UniqueFd cancel_fd_;
  Json progress_token_;
  std::atomic<CancelReason> reason_ = CancelReason::kNone;
  std::mutex mutex_;
  std::optional<double> last_progress_;
  InputAnswers known_;  // From earlier rounds.
  InputAnswers given_;  // With this request; not checked yet.
  std::optional<Outcome> interruption_;
};

// Puts a result into the form of the era.
Json ShapeResult(Era era, Reply reply, const Json& server_info);

}  // namespace pyro::mcp
