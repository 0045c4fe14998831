// Options that take numbers, with units and with errors that name the option.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
class Option;
}  // namespace CLI

namespace pyro::cli {

// A whole number of seconds, or with a unit s, m, h or d: "90", "5m". kInvalidArgument.
Result<std::int64_t> ParseSeconds(std::string_view text);

// Milliseconds, from a number of seconds that may have a fraction, or with a unit ms, s, m or h:
// "0.5", "20", "5m". kInvalidArgument.
Result<std::int64_t> ParseMilliseconds(std::string_view text);

// A whole number of MiB, or with a unit M, G or T, also as MiB, GiB, TiB: "2048", "2G".
// kInvalidArgument.
Result<std::int64_t> ParseMib(std::string_view text);

// Permissions in octal digits, as chmod takes them: "644", "0755". kInvalidArgument.
Result<std::int64_t> ParseMode(std::string_view text);

// The smallest and the largest number that an option takes.
struct Bounds {
  std::int64_t least = INT64_MIN;
  std::int64_t most = INT64_MAX;
};
// kInvalidArgument: not a whole number within the bounds.
Result<std::int64_t> ParseNumber(std::string_view text, Bounds bounds);

// Each function adds an option. The parser throws a UsageError that names the option, or calls it
// `said`, if a value does not fit.
using Parse = std::function<Result<std::int64_t>(std::string_view text)>;
using Store = std::function<void(std::int64_t)>;
CLI::Option* AddParsed(CLI::App* command, const std::string& name, const std::string& said,
                       const Store& store, const Parse& parse, std::string description);
CLI::Option* AddNumber(CLI::App* command, const std::string& name, std::int64_t& value,
                       Bounds bounds, std::string description);
// One of the words.
CLI::Option* AddChoice(CLI::App* command, const std::string& name, std::string& value,
                       const std::vector<std::string_view>& words, std::string description);

}  // namespace pyro::cli
