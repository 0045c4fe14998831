#include "mcp/protocol/task_json.h"

#include <utility>

#include "mcp/protocol/eras.h"
#include "mcp/protocol/input_request.h"
#include "mcp/protocol/tool_result.h"

namespace pyro::mcp {

std::string_view TaskStatusName(TaskStatus status) {
  switch (status) {
    case TaskStatus::kWorking:
      return "working";
    case TaskStatus::kInputRequired:
      return "input_required";
    case TaskStatus::kCompleted:
      return "completed";
    case TaskStatus::kFailed:
      return "failed";
    case TaskStatus::kCancelled:
      return "cancelled";
  }
  return "failed";
}

Json CreatedTaskJson(const TaskState& state) {
  Json json = Json::object();
  json["taskId"] = state.id;
  json["status"] = TaskStatusName(state.status);
  if (!state.message.empty()) json["statusMessage"] = state.message;
  json["createdAt"] = FormatTime(state.created_at);
  json["lastUpdatedAt"] = FormatTime(state.updated_at);
  json["ttlMs"] = state.ttl_ms ? Json(*state.ttl_ms) : Json(nullptr);
  json["pollIntervalMs"] = state.poll_interval_ms;
  return json;
}

Json TaskJson(const TaskState& state) {
  Json json = CreatedTaskJson(state);
  if (state.status == TaskStatus::kInputRequired) {
    Json requests = Json::object();
    for (const auto& [name, request] : state.input_requests) {
      requests[name] = InputRequestJson(request);
    }
    json["inputRequests"] = std::move(requests);
  }
  if (state.status == TaskStatus::kCompleted && state.result != nullptr) {
    json["result"] = ToolResultJson(*state.result, kModernVersion);
    json["result"]["resultType"] = "complete";
  }
  if (state.status == TaskStatus::kFailed) {
    const TaskFailure failure = state.failure.value_or(TaskFailure{});
    Json error = Json::object();
    error["code"] = failure.code;
    error["message"] = failure.message;
    json["error"] = std::move(error);
  }
  return json;
}

}  // namespace pyro::mcp
