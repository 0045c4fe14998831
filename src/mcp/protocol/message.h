// JSON-RPC 2.0 messages: values in, values out.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/json.h"

namespace pyro::mcp {

inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kInternalError = -32603;
inline constexpr int kServerError = -32000;
inline constexpr int kSessionNotFound = -32001;
inline constexpr int kResourceNotFound = -32002;  // Of the legacy era only.
inline constexpr int kHeaderMismatch = -32020;
inline constexpr int kMissingCapability = -32021;
inline constexpr int kUnsupportedVersion = -32022;

// A failure of the protocol, as opposed to one of a tool.
struct RpcError {
  int code = kInternalError;
  std::string message;
  Json data;              // null: none.
  int http_status = 200;  // Of an answer over HTTP.
};

// Of a request whose id is that of one that is being answered.
RpcError IdInUse();

struct Request {
  Json id;  // A string or an integer, exactly as it came.
  std::string method;
  Json params = Json::object();
};

struct Notification {
  std::string method;
  Json params = Json::object();
};

// The client's answer to a question.
struct Response {
  Json id;
  Json result;  // Of an error: null.
  std::optional<RpcError> error;
};

// The error, with the id if there is one that can be echoed.
struct BadMessage {
  Json id;
  RpcError error;
};

using Message = std::variant<Request, Notification, Response, BadMessage>;

inline constexpr std::size_t kMaxIdBytes = 1024;
inline constexpr std::size_t kMaxMethodBytes = 256;

// Never fails: other bytes give a BadMessage.
Message ParseMessage(Json value);

Json MakeResponse(const Json& id, Json result);
Json MakeErrorResponse(const Json& id, const RpcError& error);
Json MakeNotification(std::string_view method, Json params);
Json MakeRequest(const Json& id, std::string_view method, Json params);

// A key for tables: keeps 1 and "1" apart.
std::string IdKey(const Json& id);

// nullptr unless `object` is an object that has `key`.
const Json* Find(const Json& object, std::string_view key);
// Empty unless it is a string.
std::string StringOr(const Json& object, std::string_view key, std::string_view otherwise = {});

}  // namespace pyro::mcp
