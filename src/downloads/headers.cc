#include "downloads/headers.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/text.h"

namespace pyro::downloads {
namespace {

constexpr std::chrono::seconds kMostMaxAge{std::chrono::hours(24 * 365)};
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

char AsciiLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool SameWord(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, AsciiLower, AsciiLower);
}

// Digits alone; a number too large for its type is the largest one.
std::optional<std::uint64_t> Digits(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (UINT64_MAX - digit) / 10) return UINT64_MAX;
    value = value * 10 + digit;
  }
  return value;
}

// Weak comparison of RFC 9110, 8.8.3.2.
bool SameTag(std::string_view a, std::string_view b) {
  if (a.starts_with("W/")) a.remove_prefix(2);
  if (b.starts_with("W/")) b.remove_prefix(2);
  return !a.empty() && a == b;
}

}  // namespace

std::optional<std::string> FindHeader(const Headers& headers, std::string_view name) {
  std::optional<std::string> joined;
  for (const auto& [key, value] : headers) {
    if (!SameWord(key, name)) continue;
    if (joined) {
      *joined += ", " + value;
    } else {
      joined = value;
    }
  }
  return joined;
}

CacheControl ReadCacheControl(const Headers& headers) {
  CacheControl control;
  const std::string text = FindHeader(headers, "Cache-Control").value_or("");
  for (std::string_view word : Split(text, ',')) {
    word = TrimSpace(word);
    const std::size_t equals = word.find('=');
    const std::string_view name = TrimSpace(word.substr(0, equals));
    if (SameWord(name, "no-store")) control.no_store = true;
    if (SameWord(name, "no-cache")) control.no_cache = true;
    if (SameWord(name, "private")) control.is_private = true;
    if (!SameWord(name, "max-age") || equals == std::string_view::npos) continue;
    std::string_view value = TrimSpace(word.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    if (const auto seconds = Digits(value)) {
      const auto most = static_cast<std::uint64_t>(kMostMaxAge.count());
      control.max_age = std::chrono::seconds(std::min(*seconds, most));
    }
  }
  if (SameWord(TrimSpace(FindHeader(headers, "Pragma").value_or("")), "no-cache")) {
    control.no_cache = true;
  }
  return control;
}

std::optional<WallTime> ParseHttpDate(std::string_view text) {
  // "Sun, 06 Nov 1994 08:49:37 GMT"
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT" ||
      text[7] != ' ' || text[11] != ' ' || text[16] != ' ' || text[19] != ':' || text[22] != ':') {
    return std::nullopt;
  }
  const auto day = Digits(text.substr(5, 2));
  const auto year = Digits(text.substr(12, 4));
  const auto hour = Digits(text.substr(17, 2));
  const auto minute = Digits(text.substr(20, 2));
  const auto second = Digits(text.substr(23, 2));
  const std::size_t month = kMonths.find(text.substr(8, 3));
  if (!day || !year || !hour || !minute || !second || month == std::string_view::npos ||
      month % 3 != 0 || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(month / 3 + 1)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return WallTime(std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(*hour) +
                  std::chrono::minutes(*minute) + std::chrono::seconds(*second));
}

AskedRange ReadRange(std::string_view value, std::uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  value = TrimSpace(value);
  if (value.size() <= kUnit.size() || !SameWord(value.substr(0, kUnit.size()), kUnit)) return {};
  value = TrimSpace(value.substr(kUnit.size()));
  const std::size_t dash = value.find('-');
  if (dash == std::string_view::npos) return {};
  const std::string_view from = TrimSpace(value.substr(0, dash));
  const std::string_view to = TrimSpace(value.substr(dash + 1));
  const auto first = Digits(from);
  const auto last = Digits(to);
  if ((!from.empty() && !first) || (!to.empty() && !last) || (!first && !last)) return {};
  if (!first) {  // The last bytes.
    if (*last == 0 || size == 0) return {.part = {}, .impossible = true};
    return {.part = ByteRange{size - std::min(*last, size), size - 1}};
  }
  if (last && *last < *first) return {};
  if (*first >= size) return {.part = {}, .impossible = true};
  return {.part = ByteRange{*first, last ? std::min(*last, size - 1) : size - 1}};
}

bool ClientHasIt(const Headers& request, std::string_view etag, std::string_view last_modified) {
  if (const auto tags = FindHeader(request, "If-None-Match")) {
    if (TrimSpace(*tags) == "*") return true;
    const auto all = Split(*tags, ',');
    return std::ranges::any_of(all, [&](auto tag) { return SameTag(TrimSpace(tag), etag); });
  }
  const auto since = FindHeader(request, "If-Modified-Since");
  if (!since || last_modified.empty()) return false;
  const auto asked = ParseHttpDate(TrimSpace(*since));
  const auto changed = ParseHttpDate(last_modified);
  return asked && changed && *changed <= *asked;
}

bool MaySendPart(const Headers& request, std::string_view etag, std::string_view last_modified) {
  const auto condition = FindHeader(request, "If-Range");
  if (!condition) return true;
  const std::string_view value = TrimSpace(*condition);
  // A weak tag says nothing of single bytes.
  if (value.starts_with('"')) return value == etag;
  return !last_modified.empty() && value == last_modified;
}

}  // namespace pyro::downloads
