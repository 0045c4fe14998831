// HTTP for the server's logic: no sockets, no library.

#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "mcp/protocol/message.h"

namespace pyro::mcp {

struct HttpRequest {
  std::string method;
  std::string path;  // Without query.
  // Names in lower case, values without space around them. Of a name that comes twice all values
  // are here.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  // The first value. nullopt: no such header.
  std::optional<std::string_view> Header(std::string_view name) const;
  // Whether the header comes more than once.
  bool Repeated(std::string_view name) const;
};

struct HttpAnswer {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;    // JSON, if not empty.
  bool close = false;  // The connection cannot be used any further.
};

// A JSON-RPC error, with the id that it answers or null.
HttpAnswer ErrorAnswer(int status, const Json& id, const RpcError& error);
HttpAnswer ErrorAnswer(int status, int code, std::string_view message);

}  // namespace pyro::mcp
