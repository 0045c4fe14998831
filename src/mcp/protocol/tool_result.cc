#include "mcp/protocol/tool_result.h"

#include <utility>

#include <fmt/format.h>

#include "mcp/protocol/eras.h"
#include "mcp/protocol/message.h"

namespace pyro::mcp {
namespace {

// Revisions are dates, so they are ordered as text.
constexpr std::string_view kHasAudio = "2025-03-26";
constexpr std::string_view kHasStructured = "2025-06-18";

Json BlockFor(const Json& block, std::string_view version) {
  const std::string type = StringOr(block, "type");
  if (type == "resource_link" && version < kHasStructured) {
    return TextContent(fmt::format("{}: {}", StringOr(block, "name"), StringOr(block, "uri")));
  }
  if (type == "audio" && version < kHasAudio) {
    return TextContent(fmt::format("[audio, {}]", StringOr(block, "mimeType")));
  }
  return block;
}

}  // namespace

ToolResult ToolResult::Structured(Json value) {
  ToolResult result;
  result.structured = std::move(value);
  return result;
}

ToolResult ToolResult::Text(std::string_view text) {
  ToolResult result;
  result.content.push_back(TextContent(text));
  return result;
}

ToolResult ToolResult::Failure(const Error& error) {
  Json body = Json::object();
  body["code"] = ErrorCodeName(error.code);
  body["message"] = error.message;
  if (!error.hint.empty()) body["hint"] = error.hint;
  Json outer = Json::object();
  outer["error"] = std::move(body);
  ToolResult result = Text(ToJsonLine(outer));
  result.is_error = true;
  return result;
}

ToolResult ToolResult::AsTask(TaskState state) {
  ToolResult result;
  result.task = std::move(state);
  return result;
}

Json ToolResultJson(const ToolResult& result, std::string_view version) {
  Json content = Json::array();
  for (const Json& block : result.content) content.push_back(BlockFor(block, version));
  if (content.empty() && result.structured) {
    content.push_back(TextContent(ToJsonLine(*result.structured)));
  }
  Json json = Json::object();
  json["content"] = std::move(content);
  // Before the modern era it is an object or nothing.
  if (result.structured && version >= kHasStructured &&
      (version >= kModernVersion || result.structured->is_object())) {
    json["structuredContent"] = *result.structured;
  }
  if (result.is_error) json["isError"] = true;
  return json;
}

}  // namespace pyro::mcp
