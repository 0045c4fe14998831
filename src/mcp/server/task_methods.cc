#include <utility>

#include "mcp/protocol/task_json.h"
#include "mcp/protocol/task_store.h"
#include "mcp/server/core.h"
#include "mcp/server/methods.h"

namespace pyro::mcp {
namespace {

constexpr std::size_t kMaxTaskId = 256;

// Empty: none, or none that could be one.
std::string TaskId(const Call& call) {
  std::string id = StringOr(call.request().params, "taskId");
  if (id.size() > kMaxTaskId) id.clear();
  return id;
}

Outcome Acknowledge(const Status& status) {
  if (!status) return FromError(status.error());
  return Reply();
}

}  // namespace

Outcome GetTask(Core& core, Call& call) {
  const std::string id = TaskId(call);
  if (id.empty()) return InvalidParams("taskId is missing");
  const auto state = core.task_store()->Get(id, call.principal());
  if (!state) return FromError(state.error());
  Reply reply;
  reply.result = TaskJson(*state);
  return reply;
}

Outcome UpdateTask(Core& core, Call& call) {
  const std::string id = TaskId(call);
  if (id.empty()) return InvalidParams("taskId is missing");
  const Json* responses = Find(call.request().params, "inputResponses");
  if (responses == nullptr || !responses->is_object()) {
    return InvalidParams("inputResponses is missing, or no object");
  }
  return Acknowledge(
      core.task_store()->Answer(id, call.principal(), responses->get<InputAnswers>()));
}

Outcome CancelTask(Core& core, Call& call) {
  const std::string id = TaskId(call);
  if (id.empty()) return InvalidParams("taskId is missing");
  return Acknowledge(core.task_store()->Cancel(id, call.principal()));
}

}  // namespace pyro::mcp
