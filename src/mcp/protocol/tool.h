// Tools: functions that a model calls.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "mcp/protocol/call_context.h"
#include "mcp/protocol/content.h"
#include "mcp/protocol/task_store.h"
#include "pyro/result.h"

namespace pyro::mcp {

// The result of a call. Errors that the model can act on are results too, with `is_error`.
struct ToolResult {
  // For programs, and for clients that show the model only this. Fits the tool's output schema.
  std::optional<Json> structured;
  // For models. If empty, one text block with `structured` serialised, so that both stand alone.
  std::vector<Json> content;
  bool is_error = false;
  // Instead of a result: the call goes on as this MCP task, which is already in the store.
  std::optional<TaskState> task;

  static ToolResult Structured(Json value);
  static ToolResult Text(std::string_view text);
  // {"error": {"code", "message", "hint"}} as text, with is_error.
  static ToolResult Failure(const Error& error);
  // Only where CallContext::MayAnswerWithTask().
  static ToolResult AsTask(TaskState state);
};

// An Error becomes ToolResult::Failure; so PYRO_ASSIGN_OR_RETURN does the right thing. `arguments`
// is an object that fits the input schema. May block; runs on a worker thread.
using ToolHandler = std::function<Result<ToolResult>(CallContext& call, const Json& arguments)>;

// The defaults are those that the protocol assumes; only what differs from them is sent.
struct ToolAnnotations {
  bool read_only = false;
  bool destructive = true;
  bool idempotent = false;
  bool open_world = true;
};

enum class TaskSupport {
  kNone,
  kOptional,  // The handler may answer with an MCP task if the client can take one.
  kRequired,  // Clients that cannot are refused.
};

enum class SchemaCheck {
  kValidate,     // Arguments that do not fit never reach the handler. See schema.h for keywords.
  kPassThrough,  // The schema is shown to clients; the handler checks.
};

struct Tool {
  std::string name;         // 1 to 64 of [A-Za-z0-9_-].
  std::string title;        // For people.
  std::string description;  // For models; at most kMaxDescription bytes.
  Json input_schema;        // {"type": "object", …}
  Json output_schema;       // null: none, and then structured content is optional.
  ToolAnnotations annotations;
  SchemaCheck schema_check = SchemaCheck::kValidate;
  TaskSupport task_support = TaskSupport::kNone;
  // Client capabilities without which a modern call is refused, such as {"sampling": {}}.
  Json required_capabilities = Json::object();
  Json meta;  // `_meta` of tools/list, or null.
  ToolHandler handler;
};

// Clients cut longer ones.
inline constexpr std::size_t kMaxDescription = 2048;

}  // namespace pyro::mcp
