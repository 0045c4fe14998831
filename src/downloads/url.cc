#include "downloads/url.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::downloads {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";
constexpr std::size_t kMaxHostBytes = 253;

// A text with '@' may have a password before it, and is not shown.
Error NoUrl(std::string_view text, std::string_view why) {
  const bool shown = text.find('@') == std::string_view::npos;
  return MakeError(
      ErrorCode::kInvalidArgument,
      shown ? fmt::format("'{}' {}", Printable(text), why) : fmt::format("a text with '@' {}", why),
      "give a URL such as https://registry.example/simple/");
}

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsUnreserved(char c) {
  return IsLetterOrDigit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

char LowerLetter(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::optional<int> HexValue(char c) {
  const char upper = c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
  const std::size_t at = kHexDigits.find(upper);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<int>(at);
}

// nullopt: other bytes than visible ASCII, or a broken escape.
std::optional<std::string> OneSpelling(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\' || c == '`') {
      return std::nullopt;
    }
    if (c != '%') {
      out += c;
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const auto high = HexValue(text[i + 1]);
    const auto low = HexValue(text[i + 2]);
    if (!high || !low) return std::nullopt;
    const char byte = static_cast<char>(*high * 16 + *low);
    if (IsUnreserved(byte)) {
      out += byte;
    } else {
      out += '%';
      out += kHexDigits[static_cast<std::size_t>(*high)];
      out += kHexDigits[static_cast<std::size_t>(*low)];
    }
    i += 2;
  }
  return out;
}

std::optional<std::string> HostOf(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kMaxHostBytes) return std::nullopt;
  std::string host;
  for (const char c : text) {
    if (!IsLetterOrDigit(c) && c != '-' && c != '.' && c != '_') return std::nullopt;
    host += LowerLetter(c);
  }
  for (const std::string_view label : Split(host, '.')) {
    if (label.empty() || label.size() > 63) return std::nullopt;
  }
  return host;
}

// Servers differ in what ends a part of a path: many take "%2F" for '/', and some "%5C". Others
// leave out what follows a ';'.
bool HasDotSegment(std::string path) {
  for (std::size_t at = path.find('%'); at != std::string::npos; at = path.find('%', at + 1)) {
    const std::string_view escape = std::string_view(path).substr(at, 3);
    if (escape == "%2F" || escape == "%5C") path.replace(at, 3, "/");
  }
  const auto segments = Split(path, '/');
  return std::ranges::any_of(segments, [](std::string_view part) {
    part = part.substr(0, part.find(';'));
    return part == "." || part == "..";
  });
}

// RFC 3986, 5.2.4.
std::string WithoutDotSegments(std::string_view path) {
  std::vector<std::string_view> kept;
  const auto segments = Split(path, '/');
  for (std::size_t i = 1; i < segments.size(); ++i) {
    const bool last = i + 1 == segments.size();
    if (segments[i] == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (segments[i] != ".") {
      kept.push_back(segments[i]);
      continue;
    }
    if (last) kept.emplace_back("");
  }
  std::string out;
  for (const std::string_view segment : kept) {
    out += '/';
    out += segment;
  }
  return out.empty() ? "/" : out;
}

std::string_view WithoutFragment(std::string_view text) { return text.substr(0, text.find('#')); }

}  // namespace

std::string Url::Text() const {
  const bool usual = port == (tls ? 443 : 80);
  return fmt::format("{}://{}{}{}{}", tls ? "https" : "http", host,
                     usual ? "" : fmt::format(":{}", port), path, query);
}

Result<Url> ParseUrl(std::string_view text) {
  if (text.size() > kMaxUrlBytes) {
    return NoUrl(text, fmt::format("has more than {} bytes", kMaxUrlBytes));
  }
  const std::size_t scheme_end = text.find("://");
  std::string scheme;
  for (const char c : text.substr(0, scheme_end)) scheme += LowerLetter(c);
  if (scheme_end == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    return NoUrl(text, "is no URL of http or https");
  }
  Url url;
  url.tls = scheme == "https";
  url.port = url.tls ? 443 : 80;
  const std::string_view rest = WithoutFragment(text.substr(scheme_end + 3));
  const std::string_view server = rest.substr(0, rest.find_first_of("/?"));
  if (server.find('@') != std::string_view::npos) {
    // The text is not shown: it may hold a password.
    return MakeError(ErrorCode::kInvalidArgument, "a URL has a user or password in it",
                     "give a URL without credentials");
  }
  const std::size_t colon = server.find(':');
  if (colon != std::string_view::npos) {
    const auto port = ParseInt(server.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535) return NoUrl(text, "has no port of 1 to 65535");
    url.port = static_cast<std::uint16_t>(*port);
  }
  auto host = HostOf(server.substr(0, colon));
  if (!host) return NoUrl(text, "names no host");
  url.host = *std::move(host);

  const std::string_view tail = rest.substr(server.size());
  const std::size_t question = tail.find('?');
  auto path = OneSpelling(tail.substr(0, question));
  auto query = OneSpelling(question == std::string_view::npos ? "" : tail.substr(question));
  if (!path || !query) return NoUrl(text, "has bytes or escapes that no URL has");
  url.path = path->empty() ? "/" : *std::move(path);
  url.query = *std::move(query);
  if (HasDotSegment(url.path)) return NoUrl(text, "has '.' or '..' as a part of its path");
  return url;
}

Result<Url> FollowUrl(const Url& from, std::string_view location) {
  location = WithoutFragment(location);
  if (location.size() > kMaxUrlBytes) return NoUrl(location, "is too long for a redirect");
  const std::string_view scheme = from.tls ? "https:" : "http:";
  if (location.find("://") < location.find_first_of("/?")) return ParseUrl(location);
  if (location.starts_with("//")) return ParseUrl(fmt::format("{}{}", scheme, location));
  Url server = from;
  server.path = "";
  server.query = "";
  const std::string_view path = location.substr(0, location.find('?'));
  const std::string_view query = location.substr(path.size());
  std::string merged;
  if (path.starts_with('/')) {
    merged = path;
  } else if (path.empty()) {
    merged = from.path;
  } else {
    merged = from.path.substr(0, from.path.rfind('/') + 1) + std::string(path);
  }
  return ParseUrl(fmt::format("{}{}{}", server.Text(), WithoutDotSegments(merged), query));
}

}  // namespace pyro::downloads
