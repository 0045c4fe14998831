// The wire's form of a tool's result.

#pragma once

#include <string_view>

#include "base/json.h"
#include "mcp/protocol/tool.h"
#include "mcp/schema/schema.h"

namespace pyro::mcp {

// `version` is the client's: what it does not know yet becomes text.
Json ToolResultJson(const ToolResult& result, std::string_view version);

}  // namespace pyro::mcp
