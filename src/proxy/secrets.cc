#include "proxy/secrets.h"

#include <openssl/evp.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"

namespace pyro::proxy {
namespace {

constexpr std::string_view kBasic = "basic ";
constexpr std::size_t kFirstLineBytes = std::string_view("  HTTP/1.1\r\n\r\n").size();
constexpr std::size_t kFieldBytes = std::string_view(": \r\n").size();

// What common writers of JSON escape, beside what each must: '/' as "\/", all else by number.
struct JsonForm {
  std::string_view escaped;
  bool upper = false;
};
constexpr JsonForm kJsonForms[] = {
    {""}, {"/"}, {"<>&"}, {"<>&='"}, {"\"&'+<>`", true},
};

bool BeginsWithBasic(std::string_view value) {
  return value.size() > kBasic.size() &&
         std::equal(kBasic.begin(), kBasic.end(), value.begin(), [](char a, char b) {
           return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b + 32) : b);
         });
}

std::string Encode(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

// nullopt: it is not the one text for its bytes.
std::optional<std::string> Decode(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  bytes.resize(static_cast<std::size_t>(size) - padding);
  if (Encode(bytes) != text) return std::nullopt;
  return bytes;
}

// What text in base64 has of a value that begins `shift` bytes behind a group of three: the
// characters that hang on the value alone.
std::string CoreOf(std::string_view value, std::size_t shift) {
  const std::string text = Encode(std::string(shift, 'x') + std::string(value));
  const std::size_t first = (shift * 8 + 5) / 6;
  const std::size_t end = (shift + value.size()) * 8 / 6;
  return text.substr(first, end - first);
}

std::string TextOfJson(std::string_view value, const JsonForm& form) {
  std::string text;
  for (const char c : value) {
    if (form.escaped.find(c) == std::string_view::npos) {
      const std::string quoted = Json(std::string(1, c)).dump();
      text += quoted.substr(1, quoted.size() - 2);
    } else if (c == '/') {
      text += "\\/";
    } else {
      text += form.upper ? fmt::format("\\u{:04X}", c) : fmt::format("\\u{:04x}", c);
    }
  }
  return text;
}

// The credentials of Basic authentication; nullopt: there are none.
std::optional<std::string> BasicIn(std::string_view value) {
  if (!BeginsWithBasic(value)) return std::nullopt;
  std::string_view text = value.substr(kBasic.size());
  while (text.starts_with(' ')) text.remove_prefix(1);
  return Decode(text);
}

}  // namespace

Secrets::Secrets(std::vector<Secret> secrets) : secrets_(std::move(secrets)) {
  for (const Secret& secret : secrets_) {
    mask_.Add(secret.name, secret.value);
    std::set<std::string> texts;
    for (const JsonForm& form : kJsonForms) texts.insert(TextOfJson(secret.value, form));
    texts.erase(secret.value);
    for (const std::string& text : texts) mask_.Add(secret.name, text);
    for (const std::size_t shift : {0, 1, 2}) {
      std::string core = CoreOf(secret.value, shift);
      mask_.Add(secret.name, core);
      if (core.find_first_of("+/") == std::string::npos) continue;
      std::replace(core.begin(), core.end(), '+', '-');
      std::replace(core.begin(), core.end(), '/', '_');
      mask_.Add(secret.name, core);
    }
    longest_placeholder_ = std::max(longest_placeholder_, secret.placeholder.size());
  }
}

bool Secrets::HasHost(const Origin& origin) const {
  const net::ServedHost host{origin.name, origin.port};
  return std::any_of(secrets_.begin(), secrets_.end(), [&](const Secret& secret) {
    return std::find(secret.hosts.begin(), secret.hosts.end(), host) != secret.hosts.end();
  });
}

const Secret* Secrets::FindIn(std::string_view text) const {
  for (const Secret& secret : secrets_) {
    if (text.find(secret.placeholder) != std::string_view::npos) return &secret;
  }
  return nullptr;
}

std::string_view Secrets::PlaceholderIn(std::string_view bytes) const {
  const Secret* found = FindIn(bytes);
  return found == nullptr ? std::string_view() : std::string_view(found->name);
}

// No value is looked into again: one could have another's placeholder.
std::string Secrets::Filled(std::string_view text, bool* changed) const {
  std::string filled;
  while (!text.empty() && filled.size() <= kMaxHeadBytes) {
    std::size_t first = std::string_view::npos;
    const Secret* which = nullptr;
    for (const Secret& secret : secrets_) {
      const std::size_t at = text.find(secret.placeholder);
      if (at < first) {
        first = at;
        which = &secret;
      }
    }
    if (which == nullptr) break;
    *changed = true;
    filled.append(text.substr(0, first)).append(which->value);
    text.remove_prefix(first + which->placeholder.size());
  }
  return filled.append(text);
}

PutIn Secrets::PutInto(const Origin& origin, RequestHead& head) {
  using Kind = PutIn::Kind;
  if (const Secret* found = FindIn(head.target())) return {Kind::kPlace, found->name};
  PutIn result;
  const net::ServedHost host{origin.name, origin.port};
  for (const auto& field : head) {
    if (const Secret* found = FindIn(field.name_string())) return {Kind::kPlace, found->name};
    const std::string_view value = field.value();
    const auto basic = BasicIn(value);
    for (const Secret& secret : secrets_) {
      if (value.find(secret.placeholder) == std::string_view::npos &&
          (!basic || basic->find(secret.placeholder) == std::string::npos)) {
        continue;
      }
      if (std::find(secret.hosts.begin(), secret.hosts.end(), host) == secret.hosts.end()) {
        return {Kind::kElsewhere, secret.name};
      }
      if (!origin.tls) return {Kind::kPlain, secret.name};
      result = {Kind::kDone, secret.name};
    }
  }
  if (result.kind != Kind::kDone) return result;
  RequestHead filled;
  filled.method_string(head.method_string());
  filled.target(head.target());
  filled.version(head.version());
  // A value may have a hundred times as many bytes as its placeholder.
  std::size_t size = head.method_string().size() + head.target().size() + kFirstLineBytes;
  for (const auto& field : head) {
    bool changed = false;
    std::string value = Filled(field.value(), &changed);
    if (const auto basic = changed ? std::nullopt : BasicIn(field.value())) {
      const std::string credentials = Filled(*basic, &changed);
      if (changed) value = "Basic " + Encode(credentials);
    }
    size += field.name_string().size() + value.size() + kFieldBytes;
    if (size > kMaxHeadBytes) return {Kind::kTooLong, result.name};
    filled.insert(field.name_string(), value);
  }
  head = std::move(filled);
  return result;
}

}  // namespace pyro::proxy
