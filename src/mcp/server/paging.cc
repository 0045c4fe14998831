#include "mcp/server/paging.h"

#include <optional>
#include <utility>

#include "base/text.h"
#include "mcp/protocol/base64.h"
#include "mcp/server/methods.h"

namespace pyro::mcp {
namespace {

constexpr std::size_t kMaxCursor = 64;
constexpr std::string_view kPrefix = "from:";

std::optional<std::size_t> Offset(const Json& cursor) {
  if (!cursor.is_string() || cursor.get_ref<const std::string&>().size() > kMaxCursor) {
    return std::nullopt;
  }
  const auto text = DecodeBase64Url(cursor.get_ref<const std::string&>());
  if (!text || text->substr(0, kPrefix.size()) != kPrefix) return std::nullopt;
  const auto number = ParseInt(text->substr(kPrefix.size()));
  if (!number || *number < 0) return std::nullopt;
  return static_cast<std::size_t>(*number);
}

}  // namespace

Outcome Page(const std::string& key, Json entries, const Json& params, std::size_t page_size,
             const CacheHint& cache) {
  std::size_t begin = 0;
  if (const Json* cursor = Find(params, "cursor")) {
    const auto offset = Offset(*cursor);
    if (!offset) return InvalidParams("cursor is none of this server's");
    begin = *offset;
  }
  Reply reply;
  reply.cache = cache;
  Json page = Json::array();
  const std::size_t size = entries.size();
  for (std::size_t i = begin; i < size && page.size() < page_size; ++i) {
    page.push_back(std::move(entries[i]));
  }
  if (begin < size && size - begin > page.size()) {
    reply.result["nextCursor"] =
        EncodeBase64Url(std::string(kPrefix) + std::to_string(begin + page.size()));
  }
  reply.result[key] = std::move(page);
  return reply;
}

}  // namespace pyro::mcp
