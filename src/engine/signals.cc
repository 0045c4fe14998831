#include "engine/signals.h"

#include <array>
#include <cctype>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::engine {
namespace {

constexpr int kLeastRealTime = 34;  // As C libraries number them.
constexpr int kMostSignal = 64;

// Of Linux, from 1.
constexpr std::array<std::string_view, 31> kSignals = {
    "HUP",  "INT",  "QUIT", "ILL",    "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1", "SEGV",
    "USR2", "PIPE", "ALRM", "TERM",   "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN", "TTOU",
    "URG",  "XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS"};

// `name`: in capitals, without SIG.
std::optional<int> RealTimeSignal(std::string_view name) {
  const bool from_least = name.starts_with("RTMIN");
  if (!from_least && !name.starts_with("RTMAX")) return std::nullopt;
  if (name.size() == 5) return from_least ? kLeastRealTime : kMostSignal;
  const auto offset = ParseInt(name.substr(6));
  if (name[5] != (from_least ? '+' : '-') || !offset || *offset < 0 ||
      *offset > kMostSignal - kLeastRealTime) {
    return std::nullopt;
  }
  const int distance = static_cast<int>(*offset);
  return from_least ? kLeastRealTime + distance : kMostSignal - distance;
}

}  // namespace

Result<int> ParseSignal(std::string_view text) {
  std::string name(text);
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] == name) return static_cast<int>(i) + 1;
  }
  if (const auto real_time = RealTimeSignal(name)) return *real_time;
  const auto number = ParseInt(text);
  if (number && *number >= 1 && *number <= kMostSignal) return static_cast<int>(*number);
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("there is no signal '{}'", Printable(text, 64)),
                   "give a name such as TERM or SIGHUP, or a number from 1 to 64");
}

std::string NameOfSignal(int signal) {
  const auto at = static_cast<std::size_t>(signal) - 1;
  return at < kSignals.size() ? fmt::format("SIG{}", kSignals[at]) : std::to_string(signal);
}

}  // namespace pyro::engine
