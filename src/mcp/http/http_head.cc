// The rungs of the ladder that need no body.

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "base/text.h"
#include "mcp/http/http_ladder.h"
#include "mcp/protocol/crypto.h"

namespace pyro::mcp {
namespace {

constexpr std::string_view kWellKnown = "/.well-known/";

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

// Without the port. Empty: not of the form host or host:port.
std::string WithoutPort(std::string_view host) {
  std::size_t end = host.size();
  if (!host.empty() && host.front() == '[') {
    const std::size_t bracket = host.find(']');
    if (bracket == std::string_view::npos) return {};
    end = bracket + 1;
  } else {
    end = std::min(host.find(':'), host.size());
  }
  if (end < host.size()) {
    const std::string_view port = host.substr(end + 1);
    const bool digits =
        !port.empty() && port.size() <= 5 &&
        std::all_of(port.begin(), port.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    if (host[end] != ':' || !digits) return {};
  }
  return Lower(host.substr(0, end));
}

std::optional<HttpAnswer> CheckSource(const HttpRequest& head, const HttpPolicy& policy) {
  const auto host = head.Header("host");
  if (!host || head.Repeated("host") || !HostIsAllowed(*host, policy)) {
    return ErrorAnswer(403, kServerError, "Forbidden: this Host is not served");
  }
  const auto origin = head.Header("origin");
  if (origin && (head.Repeated("origin") || !OriginIsAllowed(*origin, policy))) {
    return ErrorAnswer(403, kServerError, "Forbidden: this Origin is not allowed");
  }
  return std::nullopt;
}

std::optional<HttpAnswer> CheckToken(const HttpRequest& head, const HttpPolicy& policy) {
  if (policy.bearer_token.empty()) return std::nullopt;
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view given = head.Header("authorization").value_or("");
  if (Lower(given.substr(0, kScheme.size())) == kScheme && !head.Repeated("authorization") &&
      SecretsEqual(TrimSpace(given.substr(kScheme.size())), policy.bearer_token)) {
    return std::nullopt;
  }
  HttpAnswer answer = ErrorAnswer(401, kServerError, "Unauthorized: a bearer token is needed");
  answer.headers.emplace_back("WWW-Authenticate", "Bearer");
  return answer;
}

bool IsJson(std::string_view content_type) {
  return Lower(TrimSpace(content_type.substr(0, content_type.find(';')))) == "application/json";
}

std::optional<HttpAnswer> CheckMedia(const HttpRequest& head) {
  const std::string_view accept = head.Header("accept").value_or("");
  const bool stream = Accepts(accept, "text", "event-stream");
  if (head.method == "GET") {
    if (stream) return std::nullopt;
    return ErrorAnswer(406, kServerError, "Not Acceptable: accept text/event-stream");
  }
  if (head.method != "POST") return std::nullopt;
  if (!IsJson(head.Header("content-type").value_or(""))) {
    return ErrorAnswer(415, kServerError,
                       "Unsupported Media Type: Content-Type must be application/json");
  }
  if (stream && Accepts(accept, "application", "json")) return std::nullopt;
  return ErrorAnswer(406, kServerError,
                     "Not Acceptable: accept both application/json and text/event-stream");
}

}  // namespace

bool HostIsAllowed(std::string_view host, const HttpPolicy& policy) {
  const std::string name = WithoutPort(host);
  if (name == "localhost" || name == "127.0.0.1" || name == "[::1]") return true;
  return !name.empty() && std::find(policy.allowed_hosts.begin(), policy.allowed_hosts.end(),
                                    name) != policy.allowed_hosts.end();
}

bool OriginIsAllowed(std::string_view origin, const HttpPolicy& policy) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.substr(0, scheme.size()) == scheme) {
      return HostIsAllowed(origin.substr(scheme.size()), policy);
    }
  }
  return false;
}

bool Accepts(std::string_view accept, std::string_view type, std::string_view subtype) {
  for (std::string_view range : Split(accept, ',')) {
    const std::string name = Lower(TrimSpace(range.substr(0, range.find(';'))));
    if (name == "*/*" || name == fmt::format("{}/*", type) ||
        name == fmt::format("{}/{}", type, subtype)) {
      return true;
    }
  }
  return false;
}

std::optional<HttpAnswer> CheckHead(const HttpRequest& head, const HttpPolicy& policy) {
  if (auto answer = CheckSource(head, policy)) return answer;
  // Clients look here for an authorization server, without a token, when they are refused.
  if (head.path.substr(0, kWellKnown.size()) == kWellKnown) {
    return ErrorAnswer(404, kServerError, "Not Found");
  }
  if (auto answer = CheckToken(head, policy)) return answer;
  if (head.path != policy.path) {
    return ErrorAnswer(404, kServerError,
                       fmt::format("Not Found: the endpoint is {}", policy.path));
  }
  if (head.method != "POST" && head.method != "GET" && head.method != "DELETE") {
    HttpAnswer answer = ErrorAnswer(405, kServerError, "Method Not Allowed");
    answer.headers.emplace_back("Allow", "POST, GET, DELETE");
    return answer;
  }
  return CheckMedia(head);
}

}  // namespace pyro::mcp
