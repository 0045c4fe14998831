// Handles and URIs that MCP clients send, and output of guests on its way into a result.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/text.h"
#include "front/mcp/excerpt.h"
#include "front/mcp/journal_tasks.h"
#include "front/mcp/watcher.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::mcp_server;  // NOLINT: a program of its own
  const std::string text(reinterpret_cast<const char*>(data), size);
  // What is taken is written as it came.
  if (const auto ref = ParseMcpTaskId(text)) {
    if (McpTaskId(ref->task_id, ref->sequence) != text) std::abort();
  }
  const ResourceRef resource = ParseResource(text);
  if (resource.kind == ResourceRef::Kind::kCommand && resource.sequence < 1) std::abort();
  const std::size_t budget = size == 0 ? 0 : data[0];
  const Excerpt excerpt = Cut({text, "", text.size()}, budget, "{offset}");
  if (!excerpt.truncated && excerpt.text != text) std::abort();
  if (pyro::IsUtf8(text) && !pyro::IsUtf8(excerpt.text)) std::abort();
  if (excerpt.text.size() > budget + 100 && excerpt.truncated) std::abort();
  return 0;
}
