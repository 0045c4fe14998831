#include "chat/url.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::chat {
namespace {

constexpr std::size_t kMaxUrlBytes = 2048;
constexpr std::size_t kMaxHostBytes = 255;

Error Wrong(std::string_view text, std::string_view why) {
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' is no address of an endpoint: {}", Printable(text, 100), why),
                   "write it like http://localhost:11434/v1");
}

bool IsHostByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

bool IsAddressByte(char c) {
  return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' ||
         c == '.';
}

template <typename F>
bool All(std::string_view text, F holds) {
  for (const char c : text) {
    if (!holds(c)) return false;
  }
  return true;
}

}  // namespace

std::string Url::Authority() const {
  const std::string shown = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (tls ? "443" : "80") ? shown : shown + ":" + port;
}

std::string Url::Text() const { return (tls ? "https://" : "http://") + Authority() + path; }

bool Url::IsLoopback() const {
  const bool numbers = All(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  return host == "localhost" || host == "::1" || (numbers && host.starts_with("127."));
}

Result<Url> ParseUrl(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return Wrong(text, "it is too long");
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return Wrong(text, "it begins with neither http:// nor https://");
  }
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  std::string_view path = rest.substr(slash);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (!All(path, [](char c) { return c > ' ' && c < 0x7f && c != '?' && c != '#'; })) {
    return Wrong(text, "its path holds a character that cannot be there");
  }
  std::string_view port = url.tls ? "443" : "80";
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return Wrong(text, "a bracket is missing");
    url.host = authority.substr(1, end - 1);
    if (!All(url.host, IsAddressByte)) return Wrong(text, "its host is no address");
    authority.remove_prefix(end + 1);
    if (!authority.empty() && authority[0] != ':') return Wrong(text, "its port is no number");
    if (!authority.empty()) port = authority.substr(1);
  } else {
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (!All(url.host, IsHostByte)) return Wrong(text, "its host is no name");
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
  }
  if (url.host.empty() || url.host.size() > kMaxHostBytes) return Wrong(text, "it has no host");
  const auto number = ParseInt(port);
  if (!number || *number < 1 || *number > 65535) return Wrong(text, "its port is no number");
  url.port = std::to_string(*number);
  url.path = path;
  return url;
}

}  // namespace pyro::chat
