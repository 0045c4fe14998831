#include "front/cli/values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "base/nearest.h"
#include "base/text.h"
#include "front/cli/usage.h"

namespace pyro::cli {
namespace {

constexpr const char* kSecondsHint =
    "give a whole number of seconds, or with a unit s, m, h or d, such as 90 or 5m";
constexpr const char* kMibHint =
    "give a whole number of MiB, or with a unit M, G or T, such as 2048 or 2G";

struct Unit {
  std::string_view name;  // In lower case.
  std::int64_t factor;
};

Error NoSuchValue(std::string_view text, const char* hint) {
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("is '{}'", Printable(text, 64)), hint);
}

// `units`: the first is that of a number alone.
template <std::size_t N>
Result<std::int64_t> ParseWithUnit(std::string_view text, const std::array<Unit, N>& units,
                                   const char* hint) {
  std::size_t digits = text.starts_with('-') ? 1 : 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  std::string suffix(text.substr(digits));
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto number = ParseInt(text.substr(0, digits));
  if (!number) return NoSuchValue(text, hint);
  for (const Unit& unit : units) {
    if (suffix != unit.name && !suffix.empty()) continue;
    std::int64_t value = 0;
    if (__builtin_mul_overflow(*number, unit.factor, &value)) return NoSuchValue(text, hint);
    return value;
  }
  return NoSuchValue(text, hint);
}

// Turns the text of an option into the digits of its number.
std::function<std::string(const std::string&)> Transform(const std::string& name,
                                                         const Parse& parse) {
  return [name, parse](const std::string& text) {
    const Result<std::int64_t> number = parse(text);
    if (!number) throw UsageError(name + " " + number.error().message, number.error().hint);
    return std::to_string(*number);
  };
}

}  // namespace

Result<std::int64_t> ParseSeconds(std::string_view text) {
  constexpr std::array<Unit, 4> kUnits = {{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}};
  return ParseWithUnit(text, kUnits, kSecondsHint);
}

Result<std::int64_t> ParseMilliseconds(std::string_view text) {
  constexpr std::array<Unit, 5> kUnits = {
      {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60'000}, {"h", 3'600'000}}};
  constexpr const char* kHint =
      "give seconds, or a number with a unit ms, s, m or h, such as 0.5 or 5m";
  constexpr double kMost = 1e9;  // So that nothing overflows.
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.begin(), text.end(), value, std::chars_format::fixed);
  const std::string_view number(text.begin(), static_cast<std::size_t>(end - text.begin()));
  const bool plain = number.find_first_not_of("0123456789.") == std::string_view::npos &&
                     !number.starts_with('.') && !number.ends_with('.');
  if (error != std::errc() || !plain || value >= kMost) return NoSuchValue(text, kHint);
  for (const Unit& unit : kUnits) {
    if (text.substr(number.size()) != unit.name) continue;
    return std::llround(value * static_cast<double>(unit.factor));
  }
  return NoSuchValue(text, kHint);
}

Result<std::int64_t> ParseMib(std::string_view text) {
  constexpr std::int64_t kGib = 1024;
  constexpr std::array<Unit, 6> kUnits = {
      {{"m", 1}, {"mib", 1}, {"g", kGib}, {"gib", kGib}, {"t", kGib * kGib}, {"tib", kGib * kGib}}};
  return ParseWithUnit(text, kUnits, kMibHint);
}

Result<std::int64_t> ParseNumber(std::string_view text, Bounds bounds) {
  const auto number = ParseInt(text);
  if (number && *number >= bounds.least && *number <= bounds.most) return *number;
  std::string hint = "give a whole number";
  if (bounds.least != INT64_MIN) hint += fmt::format(" from {}", bounds.least);
  if (bounds.most != INT64_MAX) hint += fmt::format(" to {}", bounds.most);
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("is '{}'", Printable(text, 64)),
                   std::move(hint));
}

Result<std::int64_t> ParseMode(std::string_view text) {
  std::int64_t mode = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, mode, 8);
  if (error == std::errc() && stop == end && mode >= 0 && mode <= 07777) return mode;
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("is '{}'", Printable(text, 64)),
                   "give permissions in octal digits, as in 0644");
}

CLI::Option* AddParsed(CLI::App* command, const std::string& name, const std::string& said,
                       const Store& store, const Parse& parse, std::string description) {
  return command->add_option_function<std::int64_t>(name, store, std::move(description))
      ->type_name("N")
      ->transform(Transform(said, parse));
}

CLI::Option* AddNumber(CLI::App* command, const std::string& name, std::int64_t& value,
                       Bounds bounds, std::string description) {
  return command->add_option(name, value, std::move(description))
      ->type_name("N")
      ->transform(
          Transform(name, [bounds](std::string_view text) { return ParseNumber(text, bounds); }));
}

CLI::Option* AddChoice(CLI::App* command, const std::string& name, std::string& value,
                       const std::vector<std::string_view>& words, std::string description) {
  const std::vector<std::string> known(words.begin(), words.end());
  return command->add_option(name, value, std::move(description))
      ->type_name(fmt::format("{}", fmt::join(known, "|")))
      ->transform([name, known](const std::string& text) {
        if (std::find(known.begin(), known.end(), text) != known.end()) return text;
        const auto near = Nearest(text, known);
        throw UsageError(fmt::format("{} is '{}'", name, Printable(text, 64)),
                         near ? fmt::format("did you mean '{}'?", *near)
                              : fmt::format("give one of {}", fmt::join(known, ", ")));
      });
}

}  // namespace pyro::cli
