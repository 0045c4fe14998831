#include "base/diff_names.h"

#include <algorithm>

#include "base/text.h"

namespace pyro {

std::optional<std::string> TakeQuoted(std::string_view& text) {
  if (!text.starts_with('"')) return std::nullopt;
  std::string name;
  for (std::size_t i = 1; i < text.size(); ++i) {
    char c = text[i];
    if (c == '"') {
      text.remove_prefix(i + 1);
      return name;
    }
    if (c != '\\') {
      name += c;
      continue;
    }
    if (++i == text.size()) break;
    c = text[i];
    constexpr std::string_view kLetters = "abtnvfr\"\\";
    constexpr std::string_view kMeanings = "\a\b\t\n\v\f\r\"\\";
    if (const std::size_t at = kLetters.find(c); at != std::string_view::npos) {
      name += kMeanings[at];
      continue;
    }
    const std::string_view octal = text.substr(i, 3);
    if (octal.size() < 3 || octal.find_first_not_of("01234567") != std::string_view::npos ||
        octal[0] > '3') {
      break;
    }
    name += static_cast<char>((octal[0] - '0') * 64 + (octal[1] - '0') * 8 + (octal[2] - '0'));
    i += 2;
  }
  return std::nullopt;
}

std::optional<std::string_view> StripView(std::string_view name, std::int64_t count) {
  for (; count > 0; --count) {
    const std::size_t slash = name.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    name.remove_prefix(std::min(name.find_first_not_of('/', slash), name.size()));
  }
  return name;
}

std::optional<std::string> StripDirectories(std::string_view name, std::int64_t count) {
  const auto stripped = StripView(name, count);
  return stripped ? std::optional(std::string(*stripped)) : std::nullopt;
}

bool IsEpoch(std::string_view time) {
  // Such as "1970-01-01 01:00:00.000000000 +0100".
  if (time.size() < 19 || time[10] != ' ') return false;
  const std::string_view date = time.substr(0, 10);
  const auto number = [&](std::size_t at, std::size_t size) {
    return ParseInt(time.substr(at, size)).value_or(-100'000);
  };
  std::int64_t seconds = number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2);
  if (date == "1969-12-31") {
    seconds -= 24 * 3600;
  } else if (date != "1970-01-01") {
    return false;
  }
  const std::size_t space = time.rfind(' ');
  const std::string_view fraction = time.substr(19, space >= 19 ? space - 19 : time.size() - 19);
  if (fraction.find_first_not_of(".0") != std::string_view::npos) return false;
  if (space > 10 && time.size() == space + 6) {
    const std::int64_t zone = number(space + 2, 2) * 3600 + number(space + 4, 2) * 60;
    seconds -= time[space + 1] == '-' ? -zone : zone;
  }
  return seconds == 0;
}

}  // namespace pyro
