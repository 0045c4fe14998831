// MCP tasks (extension io.modelcontextprotocol/tasks): a call whose result is fetched later, from
// the process that answers then.
//
// Not a Task of pyro: an MCP task is one running call. The library stores none of them. A server
// with such calls implements TaskStore over a store that outlives the process.

#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/time.h"
#include "mcp/protocol/call_context.h"
#include "pyro/result.h"

namespace pyro::mcp {

enum class TaskStatus { kWorking, kInputRequired, kCompleted, kFailed, kCancelled };

struct ToolResult;

struct TaskFailure {
  int code = -32603;  // Of JSON-RPC.
  std::string message;
};

// The state of one MCP task at one moment. A value.
struct TaskState {
  std::string id;  // 128 random bits or more: a client with the id may ask.
  TaskStatus status = TaskStatus::kWorking;
  std::string message;  // For people; may be empty.
  WallTime created_at;
  WallTime updated_at;
  std::optional<std::int64_t> ttl_ms;  // From creation; none: until it is deleted.
  std::int64_t poll_interval_ms = 1000;
  InputRequests input_requests;              // With kInputRequired: what is not answered yet.
  std::shared_ptr<const ToolResult> result;  // With kCompleted, never null then.
  std::optional<TaskFailure> failure;        // With kFailed.
};

// Thread-safe. May block: called on worker threads.
class TaskStore {
 public:
  virtual ~TaskStore() = default;

  // kNotFound: no such task, or not one that this principal may see.
  virtual Result<TaskState> Get(const std::string& task_id, const std::string& principal) = 0;
  // Cancels it; a task that has ended does not change, which is no error. kNotFound as above.
  virtual Status Cancel(const std::string& task_id, const std::string& principal) = 0;
  // Takes answers to input_requests; other names are ignored. kNotFound as above.
  virtual Status Answer(const std::string& task_id, const std::string& principal,
                        const InputAnswers& answers) = 0;
};

}  // namespace pyro::mcp
