#include "base/text.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace pyro {
namespace {

// Length of the well-formed UTF-8 sequence that begins at `i`, or 0; `value` is its character.
std::size_t Utf8Length(std::string_view text, std::size_t i, char32_t& value) {
  const auto lead = static_cast<unsigned char>(text[i]);
  std::size_t length = 0;
  char32_t minimum = 0;
  value = lead;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2, minimum = 0x80, value = lead & 0x1f;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3, minimum = 0x800, value = lead & 0x0f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4, minimum = 0x10000, value = lead & 0x07;
  } else {
    return 0;
  }
  if (i + length > text.size()) return 0;
  for (std::size_t k = 1; k < length; ++k) {
    const auto byte = static_cast<unsigned char>(text[i + k]);
    if ((byte & 0xc0) != 0x80) return 0;
    value = value << 6 | (byte & 0x3f);
  }
  if (value < minimum || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return 0;
  return length;
}

bool IsIn(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

// Controls of a terminal (some obey U+0080 to U+009F too), ends of lines, and what turns the order
// of the text around it.
bool Acts(char32_t c) {
  return c < 0x20 || IsIn(c, 0x7f, 0x9f) || c == 0x61c || IsIn(c, 0x200e, 0x200f) ||
         IsIn(c, 0x2028, 0x202e) || IsIn(c, 0x2066, 0x2069);
}

// Characters that no one sees. The two joiners are not among them: words and emoji need these.
bool IsInvisible(char32_t c) {
  return c == 0xad || c == 0x180e || c == 0x200b || IsIn(c, 0x2060, 0x206f) || c == 0xfeff ||
         IsIn(c, 0xfff9, 0xfffb) || IsIn(c, 0x1d173, 0x1d17a) || IsIn(c, 0xe0000, 0xe007f);
}

bool ShellSafe(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("@%+=:,./-_").find(c) != std::string_view::npos;
  });
}

}  // namespace

bool IsUtf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    char32_t c = 0;
    const std::size_t length = Utf8Length(text, i, c);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

std::string HiddenCharacter(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    char32_t c = 0;
    const std::size_t length = Utf8Length(text, i, c);
    if (length > 0 && (Acts(c) || IsInvisible(c))) {
      return fmt::format("U+{:04X}", static_cast<std::uint32_t>(c));
    }
    i += std::max<std::size_t>(length, 1);
  }
  return "";
}

std::string Printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  const bool cut = text.size() > max_bytes;
  const std::size_t end = std::min(text.size(), max_bytes);
  for (std::size_t i = 0; i < end;) {
    char32_t c = 0;
    const std::size_t length = Utf8Length(text, i, c);
    if (length == 0 || Acts(c)) {
      for (std::size_t k = 0; k < std::max<std::size_t>(length, 1); ++k) {
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i + k]));
      }
      i += std::max<std::size_t>(length, 1);
    } else {
      out.append(text.substr(i, length));
      i += length;
    }
  }
  if (cut) out += "…";
  return out;
}

std::string_view CutUtf8(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  std::size_t end = max_bytes;
  // A character has at most three bytes that continue it; more are no UTF-8 and may be cut
  // anywhere.
  for (int back = 0; back < 3 && end > 0; ++back) {
    if ((static_cast<unsigned char>(text[end]) & 0xc0) != 0x80) return text.substr(0, end);
    --end;
  }
  const bool begins = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
  return text.substr(0, begins ? end : max_bytes);
}

std::string_view WithoutCutEnd(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    const std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? text.substr(0, text.size() - back) : text;
  }
  return text;
}

std::string_view WithoutCutBegin(std::string_view text) {
  for (int i = 0; i < 3 && !text.empty(); ++i) {
    if ((static_cast<unsigned char>(text[0]) & 0xc0) != 0x80) break;
    text.remove_prefix(1);
  }
  return text;
}

Result<std::int64_t> ParseInt(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is not a whole number", Printable(text, 64)));
  }
  return value;
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string_view TrimSpace(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string WithPort(const std::string& host, std::int64_t port) {
  if (port == 0) return host;
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string FormatBytes(std::uint64_t bytes) {
  constexpr std::uint64_t kKib = 1024;
  if (bytes < kKib) return fmt::format("{} B", bytes);
  if (bytes < kKib * kKib) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / kKib);
  if (bytes < kKib * kKib * kKib) {
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (kKib * kKib));
  }
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (kKib * kKib * kKib));
}

std::string ShellJoin(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    if (ShellSafe(word)) {
      out += word;
      continue;
    }
    out += '\'';
    for (const char c : word) {
      if (c == '\'') {
        out += "'\\''";
      } else {
        out += c;
      }
    }
    out += '\'';
  }
  return out;
}

}  // namespace pyro
