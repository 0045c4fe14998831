// The rungs of the ladder that look at the body.

#include "mcp/http/http_ladder.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "mcp/protocol/base64.h"

namespace pyro::mcp {
namespace {

constexpr std::string_view kVersionHeader = "mcp-protocol-version";
constexpr std::string_view kMethodHeader = "mcp-method";
constexpr std::string_view kNameHeader = "mcp-name";

HttpAnswer Mismatch(const Json& id, std::string message) {
  return ErrorAnswer(400, id, {.code = kHeaderMismatch, .message = std::move(message)});
}

HttpAnswer RefusedRequest(const Json& id, const RpcError& error) {
  return ErrorAnswer(error.http_status == 200 ? 400 : error.http_status, id, error);
}

// The member of params that Mcp-Name repeats; empty: the method has none.
std::string_view NamedBy(std::string_view method) {
  if (method == "tools/call" || method == "prompts/get") return "name";
  if (method == "resources/read") return "uri";
  if (method == "tasks/get" || method == "tasks/update" || method == "tasks/cancel") {
    return "taskId";
  }
  return {};
}

std::optional<HttpAnswer> CheckPresent(const HttpRequest& request, const Json& id,
                                       const std::string& method, const Json& params) {
  if (!request.Header(kVersionHeader))
    return Mismatch(id, "header MCP-Protocol-Version is missing");
  if (!request.Header(kMethodHeader)) return Mismatch(id, "header Mcp-Method is missing");
  const std::string_view member = NamedBy(method);
  if (member.empty()) return std::nullopt;
  const auto given = request.Header(kNameHeader);
  if (!given) return Mismatch(id, "header Mcp-Name is missing");
  const auto name = DecodeHeaderValue(*given);
  if (!name) return Mismatch(id, "header Mcp-Name is not encoded as it says");
  const Json* expected = Find(params, member);
  if (expected == nullptr || !expected->is_string() || *name != expected->get<std::string>()) {
    return Mismatch(id, fmt::format("header Mcp-Name is not params.{}", member));
  }
  return std::nullopt;
}

std::optional<HttpAnswer> CheckAgreement(const HttpRequest& request, const Json& id,
                                         const std::string& method, const Json& params) {
  const Json* meta = Find(params, "_meta");
  const Json* claimed = meta == nullptr ? nullptr : Find(*meta, kVersionKey);
  const auto version = request.Header(kVersionHeader);
  if (version && claimed != nullptr &&
      (!claimed->is_string() || claimed->get_ref<const std::string&>() != *version)) {
    return Mismatch(id, "header MCP-Protocol-Version and params._meta disagree");
  }
  const auto named = request.Header(kMethodHeader);
  if (named && *named != method) return Mismatch(id, "header Mcp-Method is not the method");
  return std::nullopt;
}

// Whether a header's text says the same as an argument.
bool SameValue(const std::string& text, const Json& argument) {
  if (argument.is_string()) return argument.get_ref<const std::string&>() == text;
  if (argument.is_boolean()) return text == (argument.get<bool>() ? "true" : "false");
  if (!argument.is_number()) return false;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if (const auto whole = ParseInt(text); whole && argument.is_number_integer()) {
    return argument == Json(*whole);
  }
  return argument.get<double>() == number;
}

std::optional<HttpAnswer> CheckParams(const HttpRequest& request, const Request& rpc,
                                      const std::map<std::string, std::string>& headers) {
  const Json* arguments = Find(rpc.params, "arguments");
  for (const auto& [header, argument] : headers) {
    std::string name = "mcp-param-" + header;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto given = request.Header(name);
    const Json* value = arguments == nullptr ? nullptr : Find(*arguments, argument);
    const bool present = value != nullptr && !value->is_null();
    if (!given && !present) continue;
    if (!given) return Mismatch(rpc.id, fmt::format("header Mcp-Param-{} is missing", header));
    if (!present) {
      return Mismatch(rpc.id, fmt::format("header Mcp-Param-{} has no argument", header));
    }
    const auto text = DecodeHeaderValue(*given);
    if (!text || !SameValue(*text, *value)) {
      return Mismatch(
          rpc.id, fmt::format("header Mcp-Param-{} is not the argument '{}'", header, argument));
    }
  }
  return std::nullopt;
}

Classified ClassifyModern(const HttpRequest& request, Request rpc, const LadderServer& server) {
  if (auto answer = CheckAgreement(request, rpc.id, rpc.method, rpc.params)) return *answer;
  auto envelope = ReadEnvelope(rpc.params);
  if (const auto* error = std::get_if<RpcError>(&envelope)) return RefusedRequest(rpc.id, *error);
  auto& scope = std::get<RequestScope>(envelope);
  if (auto answer = CheckPresent(request, rpc.id, rpc.method, rpc.params)) return *answer;
  if (const auto error = server.refusal(rpc, scope)) return RefusedRequest(rpc.id, *error);
  if (rpc.method == "tools/call") {
    if (auto answer = CheckParams(request, rpc, server.tool_headers(rpc))) return *answer;
  }
  return ModernMessage{std::move(rpc), std::move(scope)};
}

}  // namespace

std::optional<std::string> DecodeHeaderValue(std::string_view value) {
  constexpr std::string_view kPrefix = "=?base64?";
  constexpr std::string_view kSuffix = "?=";
  if (value.size() < kPrefix.size() + kSuffix.size() ||
      value.substr(0, kPrefix.size()) != kPrefix ||
      value.substr(value.size() - kSuffix.size()) != kSuffix) {
    return std::string(value);
  }
  value.remove_prefix(kPrefix.size());
  value.remove_suffix(kSuffix.size());
  return DecodeBase64(value);
}

Classified ClassifyPost(const HttpRequest& request, const LadderServer& server) {
  auto value = ParseJson(request.body, std::max(request.body.size(), kMaxJsonBytes));
  if (!value) return ErrorAnswer(400, kParseError, value.error().message);
  Message message = ParseMessage(*std::move(value));
  if (const auto* bad = std::get_if<BadMessage>(&message))
    return RefusedRequest(bad->id, bad->error);
  const auto version = request.Header(kVersionHeader);
  const bool modern_header = version && *version == kModernVersion;
  if (auto* rpc = std::get_if<Request>(&message)) {
    const bool opening = rpc->method == "initialize" && !ClaimsModern(rpc->params);
    if (BelongsToModern(*rpc) || (modern_header && !opening)) {
      return ClassifyModern(request, std::move(*rpc), server);
    }
  }
  if (auto* notification = std::get_if<Notification>(&message)) {
    if (ClaimsModern(notification->params) || modern_header) {
      if (auto answer =
              CheckAgreement(request, nullptr, notification->method, notification->params)) {
        return *answer;
      }
      return ModernMessage{std::move(*notification), RequestScope{}};
    }
  }
  return LegacyMessage{std::move(message)};
}

}  // namespace pyro::mcp
