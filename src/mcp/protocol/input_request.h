// A server's questions to a client, and their valid answers.

#pragma once

#include "base/json.h"
#include "mcp/protocol/call_context.h"

namespace pyro::mcp {

// {"method", "params"}.
Json InputRequestJson(const InputRequest& request);

// The client capability that it needs, such as {"sampling": {}}.
Json CapabilityOf(const InputRequest& request);

// Whether the client's answer has the form that the request asks for; of an accepted elicitation
// also whether its content fits the requested schema.
bool AnswerFits(const InputRequest& request, const Json& answer);

}  // namespace pyro::mcp
