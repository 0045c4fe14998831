#include "mcp/protocol/uri_template.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

namespace pyro::mcp {
namespace {

Error BadTemplate(std::string_view text) {
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("no URI template: {}", text));
}

bool IsName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  });
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

}  // namespace

Result<UriTemplate> UriTemplate::Parse(std::string_view text) {
  UriTemplate parsed;
  std::string_view rest = text;
  while (true) {
    Part part;
    const std::size_t open = rest.find('{');
    part.literal = rest.substr(0, open);
    if (part.literal.find('}') != std::string::npos) return BadTemplate(text);
    if (open == std::string_view::npos) {
      parsed.parts_.push_back(std::move(part));
      return parsed;
    }
    if (part.literal.empty()) return BadTemplate(text);
    const std::size_t close = rest.find('}', open);
    if (close == std::string_view::npos) return BadTemplate(text);
    std::string_view name = rest.substr(open + 1, close - open - 1);
    if (!name.empty() && name.front() == '+') {
      part.any = true;
      name.remove_prefix(1);
    }
    if (!IsName(name) || parsed.HasVariable(name)) return BadTemplate(text);
    part.name = name;
    parsed.parts_.push_back(std::move(part));
    rest.remove_prefix(close + 1);
  }
}

bool UriTemplate::HasVariable(std::string_view name) const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [&](const Part& part) { return part.name == name; });
}

std::optional<std::map<std::string, std::string>> UriTemplate::Match(std::string_view uri) const {
  std::map<std::string, std::string> values;
  if (uri.size() > kMaxUriBytes || !MatchFrom(0, uri, values)) return std::nullopt;
  return values;
}

// Each variable takes as little as it can, up to the next literal, and is not tried again. So no
// URI costs more than one pass. The last variable takes all text before the last literal.
bool UriTemplate::MatchFrom(std::size_t part, std::string_view uri,
                            std::map<std::string, std::string>& values) const {
  for (; part < parts_.size(); ++part) {
    const Part& now = parts_[part];
    if (uri.substr(0, now.literal.size()) != now.literal) return false;
    uri.remove_prefix(now.literal.size());
    if (now.name.empty()) return uri.empty();
    const std::string& next = parts_[part + 1].literal;
    const bool last = parts_[part + 1].name.empty();
    std::size_t end = 0;
    if (last) {
      if (uri.size() < next.size() || uri.substr(uri.size() - next.size()) != next) return false;
      end = uri.size() - next.size();
    } else {
      end = uri.find(next, 1);
    }
    if (end == std::string_view::npos || end == 0) return false;
    const std::string_view value = uri.substr(0, end);
    if (!now.any && value.find('/') != std::string_view::npos) return false;
    auto decoded = PercentDecode(value);
    if (!decoded) return false;
    values[now.name] = std::move(*decoded);
    uri.remove_prefix(end);
  }
  return false;
}

}  // namespace pyro::mcp
