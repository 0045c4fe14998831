#include "mcp/http/http_message.h"

#include <algorithm>

namespace pyro::mcp {

std::optional<std::string_view> HttpRequest::Header(std::string_view name) const {
  const auto it = std::find_if(headers.begin(), headers.end(),
                               [&](const auto& header) { return header.first == name; });
  if (it == headers.end()) return std::nullopt;
  return it->second;
}

bool HttpRequest::Repeated(std::string_view name) const {
  return std::count_if(headers.begin(), headers.end(),
                       [&](const auto& header) { return header.first == name; }) > 1;
}

HttpAnswer ErrorAnswer(int status, const Json& id, const RpcError& error) {
  return {.status = status, .headers = {}, .body = ToJsonLine(MakeErrorResponse(id, error))};
}

HttpAnswer ErrorAnswer(int status, int code, std::string_view message) {
  return ErrorAnswer(status, nullptr, {.code = code, .message = std::string(message)});
}

}  // namespace pyro::mcp
