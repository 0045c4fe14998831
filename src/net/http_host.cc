#include <algorithm>
#include <string>
#include <string_view>

#include "net/first_bytes.h"
#include "net/policy.h"

namespace pyro::net {
namespace {

constexpr std::size_t kMaxMethodBytes = 32;

FirstLook Of(FirstLook::Kind kind) { return {.kind = kind, .names = {}}; }

// The characters of a method, and of a field's name (RFC 9110).
bool IsTokenByte(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || (c >= '0' && c <= '9') ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

std::string_view WithoutBlanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// A host with a port behind it, or without.
void AddHost(std::string_view authority, std::vector<std::string>& names) {
  const std::size_t at = authority.rfind('@');
  if (at != std::string_view::npos) authority.remove_prefix(at + 1);
  const std::string_view host = authority.substr(0, authority.rfind(':'));
  if (authority.empty()) return;
  names.push_back(CanonicalName(host).value_or(std::string(authority)));
}

// "METHOD TARGET HTTP/1.1": the host that the target names, if it does.
void AddTarget(std::string_view line, std::vector<std::string>& names) {
  const std::string_view method = line.substr(0, line.find_first_of(" \t"));
  std::string_view target = WithoutBlanks(line.substr(method.size()));
  target = target.substr(0, target.find_first_of(" \t"));
  if (method == "CONNECT") return AddHost(target, names);
  const std::size_t scheme = target.find("://");
  if (target.starts_with('/') || scheme == std::string_view::npos) return;
  target.remove_prefix(scheme + 3);
  AddHost(target.substr(0, target.find_first_of("/?#")), names);
}

// False: a server may read the line in another way than this.
bool TakeField(std::string_view line, std::vector<std::string>& names) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view field = line.substr(0, colon);
  if (field.empty() || !std::all_of(field.begin(), field.end(), IsTokenByte)) return false;
  if (Lower(field) == "host") AddHost(WithoutBlanks(line.substr(colon + 1)), names);
  return true;
}

// Cuts the first line off, without its end. False: it has none yet.
bool TakeLine(std::string_view& text, std::string_view& line) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return false;
  line = text.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  text.remove_prefix(end + 1);
  return true;
}

// The bytes so far can be the begin of "METHOD TARGET HTTP/1.1".
bool MayBeRequest(std::string_view text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  const std::string_view method = line.substr(0, line.find_first_of(" \t"));
  if (method.empty() || method.size() > kMaxMethodBytes) return false;
  if (!std::all_of(method.begin(), method.end(), [&](char c) {
        return IsTokenByte(c) || (c == '\r' && method.size() == line.size());
      })) {
    return false;
  }
  return std::none_of(line.begin(), line.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t' && c != '\r') || byte == 0x7f;
  });
}

}  // namespace

FirstLook LookForHttp(Frame bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  // Servers skip empty lines before a request, and some skip blanks.
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(" \t\r\n\v\f")));
  if (text.empty()) return {};
  if (!MayBeRequest(text)) return Of(FirstLook::Kind::kNoName);
  std::string_view line;
  if (!TakeLine(text, line)) return {};
  std::string spaced = Lower(line);
  std::replace(spaced.begin(), spaced.end(), '\t', ' ');
  if (spaced.find(" http/") == std::string::npos) return Of(FirstLook::Kind::kNoName);
  if (line.find('\r') != std::string_view::npos) return Of(FirstLook::Kind::kBad);
  FirstLook look = Of(FirstLook::Kind::kNames);
  AddTarget(line, look.names);
  while (TakeLine(text, line)) {
    if (line.empty()) return look.names.empty() ? Of(FirstLook::Kind::kNoName) : look;
    if (line.find_first_of(std::string_view("\0\r", 2)) != std::string_view::npos ||
        !TakeField(line, look.names)) {
      return Of(FirstLook::Kind::kBad);
    }
  }
  return {};
}

FirstLook LookAtFirstBytes(Frame bytes) {
  const FirstLook tls = LookForTls(bytes);
  FirstLook look = tls.kind == FirstLook::Kind::kNoName && (bytes.empty() || bytes[0] != 22)
                       ? LookForHttp(bytes)
                       : tls;
  if (look.kind == FirstLook::Kind::kMore && bytes.size() >= kMaxFirstBytes) {
    look.kind = FirstLook::Kind::kBad;
  }
  return look;
}

}  // namespace pyro::net
