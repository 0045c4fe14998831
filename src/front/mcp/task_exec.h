// task_exec: starting a command in a task, waiting for it, leaving it running.

#pragma once

#include "base/json.h"
#include "front/mcp/host.h"
#include "mcp/protocol/tool.h"

namespace pyro::mcp_server {

// The command is in the journal before the call waits for it. If it has not ended after
// Host::answer_after, it goes on without the call, and the result says how to read on. A client
// that cancels has it killed. If a client or a server is lost, the command goes on.
Result<mcp::ToolResult> ExecInTask(const Host& host, mcp::CallContext& call, const Json& arguments);

}  // namespace pyro::mcp_server
