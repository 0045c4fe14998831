// The end of a command as a tool's result: for programs and for models, each complete by itself.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "mcp/tool.h"
#include "mcp_server/excerpt.h"
#include "mcp_server/schema.h"
#include "pyro/engine.h"

namespace pyro::mcp_server {

using Notices = std::vector<std::string>;

// A value without nulls; the text is the same as JSON.
mcp::ToolResult ValueResult(Json form);

// The words of a value of CommandSchema().
Command ReadCommand(const Json& command);

// The common fields of commands' results.
Properties CommandResultProperties();

// Of a one-shot VM: output that is not in the result is lost.
mcp::ToolResult RunResult(const ExecResult& result, const EndsSink& output, const Notices& notices);
Json RunResultSchema();

// Of a command in a task, which has ended.
Result<mcp::ToolResult> TaskCommandResult(Engine& engine, const std::string& task_id,
                                          std::int64_t sequence, bool restarted,
                                          const Notices& notices);
// Of one that goes on.
mcp::ToolResult RunningResult(const StartedTaskCommand& started, const Notices& notices);
Json TaskExecSchema();

// One journal entry with its output, which together take at most `budget` bytes of JSON.
Json EntryForm(const std::string& task_id, const TaskLogEntry& entry, std::size_t budget);
Properties EntryProperties();

}  // namespace pyro::mcp_server
