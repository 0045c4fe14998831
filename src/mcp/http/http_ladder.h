// Refuses HTTP requests before any handler sees them, rung by rung. Pure: no socket, no state.

#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mcp/http/http_message.h"
#include "mcp/protocol/eras.h"
#include "mcp/protocol/message.h"

namespace pyro::mcp {

struct HttpPolicy {
  std::string path = "/mcp";
  std::string bearer_token;                // Empty: none is asked for.
  std::vector<std::string> allowed_hosts;  // In lower case; loopback names need not be here.
};

// The rungs that need no body: Host and Origin, token, path and method, media types. nullopt: go
// on and read the body.
std::optional<HttpAnswer> CheckHead(const HttpRequest& head, const HttpPolicy& policy);

// The parsed body, with its era.
struct ModernMessage {
  std::variant<Request, Notification> message;
  RequestScope scope;
};
struct LegacyMessage {
  Message message;  // No BadMessage.
};
using Classified = std::variant<HttpAnswer, ModernMessage, LegacyMessage>;

// The ladder's questions to the server: see Core::Refusal, and the headers of a tool.
struct LadderServer {
  std::function<std::optional<RpcError>(const Request&, const RequestScope&)> refusal;
  // Of the tool that a request calls: header name (after Mcp-Param-) to argument name.
  std::function<std::map<std::string, std::string>(const Request&)> tool_headers;
};

// The rungs below, for the body of a POST.
Classified ClassifyPost(const HttpRequest& request, const LadderServer& server);

// The value of Mcp-Name or Mcp-Param-*: as it stands, or =?base64?…?= decoded. nullopt: encoded,
// but not strictly.
std::optional<std::string> DecodeHeaderValue(std::string_view value);

// Whether Host or the host of an Origin is loopback or allowed.
bool HostIsAllowed(std::string_view host, const HttpPolicy& policy);
bool OriginIsAllowed(std::string_view origin, const HttpPolicy& policy);

// Whether an Accept header lets `type`/`subtype` through.
bool Accepts(std::string_view accept, std::string_view type, std::string_view subtype);

}  // namespace pyro::mcp
