#include "mcp/protocol/eras.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::mcp {
namespace {

constexpr std::array<std::string_view, 4> kLegacyVersions = {"2025-11-25", "2025-06-18",
                                                             "2025-03-26", "2024-11-05"};

constexpr std::array<std::string_view, 8> kLevels = {"debug", "info",     "notice", "warning",
                                                     "error", "critical", "alert",  "emergency"};

constexpr std::size_t kMaxClientWord = 256;

RpcError BadEnvelope(std::string message) {
  return {.code = kInvalidParams, .message = std::move(message), .http_status = 400};
}

}  // namespace

bool IsLegacyVersion(std::string_view version) {
  return std::find(kLegacyVersions.begin(), kLegacyVersions.end(), version) !=
         kLegacyVersions.end();
}

std::string NegotiateLegacy(std::string_view requested) {
  return std::string(IsLegacyVersion(requested) ? requested : kNewestLegacyVersion);
}

bool ClaimsModern(const Json& params) {
  const Json* meta = Find(params, "_meta");
  return meta != nullptr && Find(*meta, kVersionKey) != nullptr;
}

bool BelongsToModern(const Request& request) {
  return ClaimsModern(request.params) || request.method == "server/discover" ||
         request.method == "subscriptions/listen";
}

ClientInfo ReadClientInfo(const Json& info) {
  ClientInfo client{StringOr(info, "name"), StringOr(info, "version")};
  client.name.resize(std::min(client.name.size(), kMaxClientWord));
  client.version.resize(std::min(client.version.size(), kMaxClientWord));
  return client;
}

std::variant<RequestScope, RpcError> ReadEnvelope(const Json& params) {
  const Json* meta = Find(params, "_meta");
  if (meta == nullptr || !meta->is_object()) {
    return BadEnvelope(
        fmt::format("params._meta is missing: it names {} and {}", kVersionKey, kCapabilitiesKey));
  }
  const Json* version = Find(*meta, kVersionKey);
  if (version == nullptr || !version->is_string()) {
    return BadEnvelope(fmt::format("params._meta['{}'] is missing or no string", kVersionKey));
  }
  const Json* capabilities = Find(*meta, kCapabilitiesKey);
  if (capabilities == nullptr || !capabilities->is_object()) {
    return BadEnvelope(fmt::format("params._meta['{}'] is missing or no object", kCapabilitiesKey));
  }
  RequestScope scope;
  scope.era = Era::kModern;
  scope.version = version->get<std::string>();
  if (scope.version != kModernVersion) {
    Json data = Json::object();
    data["supported"] = Json::array({kModernVersion});
    data["requested"] = scope.version.substr(0, kMaxClientWord);
    return RpcError{
        .code = kUnsupportedVersion,
        .message = fmt::format("unsupported protocol version {}", Printable(scope.version, 40)),
        .data = std::move(data),
        .http_status = 400};
  }
  scope.capabilities = *capabilities;
  if (const Json* info = Find(*meta, kClientInfoKey)) scope.client = ReadClientInfo(*info);
  if (const Json* level = Find(*meta, kLogLevelKey)) {
    scope.log_level =
        level->is_string() ? ParseLogLevel(level->get_ref<const std::string&>()) : std::nullopt;
    if (!scope.log_level) {
      return BadEnvelope(fmt::format("params._meta['{}'] is no log level", kLogLevelKey));
    }
  }
  return scope;
}

std::optional<LogLevel> ParseLogLevel(std::string_view name) {
  const auto* it = std::find(kLevels.begin(), kLevels.end(), name);
  if (it == kLevels.end()) return std::nullopt;
  return static_cast<LogLevel>(it - kLevels.begin());
}

std::string_view LogLevelName(LogLevel level) { return kLevels[static_cast<std::size_t>(level)]; }

Json MissingCapabilities(const Json& required, const Json& declared) {
  Json missing = Json::object();
  for (const auto& [name, value] : required.items()) {
    const Json* found = Find(declared, name);
    if (found == nullptr) {
      missing[name] = value;
    } else if (value.is_object() && !value.empty()) {
      Json deeper = MissingCapabilities(value, *found);
      if (!deeper.empty()) missing[name] = std::move(deeper);
    }
  }
  return missing;
}

RpcError MissingCapabilityError(Json required) {
  Json data = Json::object();
  std::string message =
      fmt::format("the client lacks a capability that this needs: {}", ToJsonLine(required));
  data["requiredCapabilities"] = std::move(required);
  return {.code = kMissingCapability,
          .message = std::move(message),
          .data = std::move(data),
          .http_status = 400};
}

}  // namespace pyro::mcp
