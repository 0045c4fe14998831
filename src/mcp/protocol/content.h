// The content of tools, prompts and resources, in the protocol's form.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace pyro::mcp {

// The content of one resource. Exactly one of `text` and `blob` is set.
struct ResourceContents {
  std::string uri;
  std::string mime_type;
  std::optional<std::string> text;  // Bytes that are not UTF-8 reach the client as U+FFFD.
  std::optional<std::string> blob;  // Raw bytes; encoded as base64 on the way out.
};

Json ResourceContentsJson(const ResourceContents& contents);

// Content blocks. `bytes` are raw, and encoded as base64 here.
Json TextContent(std::string_view text);
Json ImageContent(std::string_view bytes, std::string_view mime_type);
Json AudioContent(std::string_view bytes, std::string_view mime_type);
Json EmbeddedResource(const ResourceContents& contents);

// Points at a resource without carrying it. Clients older than 2025-06-18 get it as text.
struct ResourceLink {
  std::string uri;
  std::string name;
  std::string title;
  std::string description;
  std::string mime_type;
  std::optional<std::uint64_t> size;  // Bytes.
};
Json ResourceLinkContent(const ResourceLink& link);

}  // namespace pyro::mcp
