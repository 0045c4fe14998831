// Lists in pages, with cursors that mean nothing to the client.

#pragma once

#include <cstddef>
#include <string>
#include <variant>

#include "base/json.h"
#include "mcp/protocol/message.h"
#include "mcp/server/call.h"

namespace pyro::mcp {

// The part of `entries` that `params.cursor` asks for, as {key: [...], nextCursor?}. -32602: not a
// cursor of ours.
Outcome Page(const std::string& key, Json entries, const Json& params, std::size_t page_size,
             const CacheHint& cache);

}  // namespace pyro::mcp
