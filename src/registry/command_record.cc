#include "registry/command_record.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace pyro::registry {
namespace {

constexpr std::array<std::pair<CommandOutcome, std::string_view>, 6> kNames = {{
    {CommandOutcome::kExited, "exited"},
    {CommandOutcome::kSignalled, "signalled"},
    {CommandOutcome::kTimedOut, "timed_out"},
    {CommandOutcome::kCancelled, "cancelled"},
    {CommandOutcome::kNotStarted, "not_started"},
    {CommandOutcome::kInterrupted, "interrupted"},
}};

// Sums of several stay far from the end of 64 bits.
constexpr std::uint64_t kMaxStreamBytes = std::uint64_t{1} << 60;

}  // namespace

Status CheckCommandEnd(const CommandEnd& end) {
  const bool possible = end.stdout_bytes <= kMaxStreamBytes &&
                        end.stderr_bytes <= kMaxStreamBytes &&
                        end.stdout_dropped <= end.stdout_bytes &&
                        end.stderr_dropped <= end.stderr_bytes && end.duration_us >= 0;
  if (possible) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument, "a command cannot have ended like this");
}

std::string_view CommandOutcomeName(CommandOutcome outcome) {
  for (const auto& [value, name] : kNames) {
    if (value == outcome) return name;
  }
  return "interrupted";
}

std::optional<CommandOutcome> ParseCommandOutcome(std::string_view name) {
  const auto* const found = std::find_if(kNames.begin(), kNames.end(),
                                         [&](const auto& entry) { return entry.second == name; });
  if (found == kNames.end()) return std::nullopt;
  return found->first;
}

}  // namespace pyro::registry
