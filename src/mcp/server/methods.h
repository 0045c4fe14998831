// The methods of the protocol, except those that Core itself answers. Each may block if its entry
// in core.cc says that it runs on a worker.

#pragma once

#include <string>

#include "mcp/server/call.h"

namespace pyro::mcp {

class Core;

// lifecycle_methods.cc
Outcome Initialize(Core& core, Call& call);
Outcome Ping(Core& core, Call& call);
Outcome Discover(Core& core, Call& call);
Outcome SetLogLevel(Core& core, Call& call);

// tool_methods.cc
Outcome ListTools(Core& core, Call& call);
Outcome CallTool(Core& core, Call& call);

// resource_methods.cc
Outcome ListResources(Core& core, Call& call);
Outcome ListResourceTemplates(Core& core, Call& call);
Outcome ReadResource(Core& core, Call& call);
Outcome Subscribe(Core& core, Call& call);
Outcome Unsubscribe(Core& core, Call& call);

// prompt_methods.cc
Outcome ListPrompts(Core& core, Call& call);
Outcome GetPrompt(Core& core, Call& call);
Outcome Complete(Core& core, Call& call);

// task_methods.cc
Outcome GetTask(Core& core, Call& call);
Outcome UpdateTask(Core& core, Call& call);
Outcome CancelTask(Core& core, Call& call);

// Reads params.requestState and params.inputResponses of a modern request into the call.
std::optional<RpcError> ReadAnswers(Core& core, Call& call);
// The binding of this request's requestState.
std::string StateBinding(const Request& request, const RequestScope& scope);

// The server's capabilities, in the form of `initialize` and `server/discover`.
Json Capabilities(Core& core, Era era);

RpcError InvalidParams(std::string message);
// Of a handler, if the protocol has no error results for it.
RpcError FromError(const Error& error);

}  // namespace pyro::mcp
