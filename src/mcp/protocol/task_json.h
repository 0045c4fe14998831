// The wire's form of MCP tasks.

#pragma once

#include <string_view>

#include "base/json.h"
#include "mcp/protocol/task_store.h"

namespace pyro::mcp {

std::string_view TaskStatusName(TaskStatus status);

// taskId, status, times, and with them result, error or inputRequests as the status requires.
Json TaskJson(const TaskState& state);
// As the answer to the call that became the task: without those.
Json CreatedTaskJson(const TaskState& state);

}  // namespace pyro::mcp
