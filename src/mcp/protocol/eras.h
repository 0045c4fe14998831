// Revisions of the protocol, and to which of its two shapes a message belongs.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "mcp/protocol/call_context.h"
#include "mcp/protocol/message.h"

namespace pyro::mcp {

class Peer;

inline constexpr std::string_view kModernVersion = "2026-07-28";
inline constexpr std::string_view kNewestLegacyVersion = "2025-11-25";
// The version of an HTTP client that names none.
inline constexpr std::string_view kAssumedLegacyVersion = "2025-03-26";

inline constexpr std::string_view kVersionKey = "io.modelcontextprotocol/protocolVersion";
inline constexpr std::string_view kCapabilitiesKey = "io.modelcontextprotocol/clientCapabilities";
inline constexpr std::string_view kClientInfoKey = "io.modelcontextprotocol/clientInfo";
inline constexpr std::string_view kLogLevelKey = "io.modelcontextprotocol/logLevel";
inline constexpr std::string_view kServerInfoKey = "io.modelcontextprotocol/serverInfo";
inline constexpr std::string_view kSubscriptionKey = "io.modelcontextprotocol/subscriptionId";
inline constexpr std::string_view kTasksExtension = "io.modelcontextprotocol/tasks";

bool IsLegacyVersion(std::string_view version);
// The answer of `initialize`: the client's version if it is served, otherwise the newest.
std::string NegotiateLegacy(std::string_view requested);

// The client of a request, and the shape of its answer. A value.
struct RequestScope {
  Era era = Era::kLegacy;
  std::string version;
  Json capabilities = Json::object();  // Of the client.
  ClientInfo client;
  std::optional<LogLevel> log_level;  // Modern: of this request. Legacy: see Peer.
  std::string principal;
  // The legacy session, or the stdio connection. Null: a modern request over HTTP.
  std::shared_ptr<Peer> peer;
};

// A message belongs to the modern era if its `_meta` names any protocol version.
bool ClaimsModern(const Json& params);
// The same, or it is a method that only that era has.
bool BelongsToModern(const Request& request);

// The content of a modern message's `_meta`, or the error in it (-32602, -32022).
std::variant<RequestScope, RpcError> ReadEnvelope(const Json& params);

std::optional<LogLevel> ParseLogLevel(std::string_view name);
std::string_view LogLevelName(LogLevel level);

ClientInfo ReadClientInfo(const Json& info);

// The part of `required` that is missing in `declared`, an object; empty if none is.
Json MissingCapabilities(const Json& required, const Json& declared);
RpcError MissingCapabilityError(Json required);

}  // namespace pyro::mcp
