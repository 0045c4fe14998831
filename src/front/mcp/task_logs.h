// task_logs: a task's journal, one command of it, or a page of that command's output.

#pragma once

#include "base/json.h"
#include "front/mcp/host.h"
#include "mcp/protocol/tool.h"

namespace pyro::mcp_server {

Result<mcp::ToolResult> ReadLogs(const Host& host, mcp::CallContext& call, const Json& arguments);

Json LogsInputSchema();
Json LogsOutputSchema();

// The newest commands of a task with their output, for a model or a resource. `first` 0: the last
// `limit` ones.
Result<Json> JournalForm(Engine& engine, const std::string& task_id, std::int64_t first,
                         std::int64_t limit);

inline constexpr std::int64_t kMaxEntries = 20;
inline constexpr std::int64_t kDefaultEntries = 10;

}  // namespace pyro::mcp_server
