#include "state/journal/command_record.h"

namespace pyro::state {

// Sums of several stay far from the end of 64 bits.
constexpr std::uint64_t kMaxStreamBytes = std::uint64_t{1} << 60;

Status CheckCommandEnd(const CommandEnd& end) {
  const bool possible = end.stdout_bytes <= kMaxStreamBytes &&
                        end.stderr_bytes <= kMaxStreamBytes &&
                        end.stdout_dropped <= end.stdout_bytes &&
                        end.stderr_dropped <= end.stderr_bytes && end.duration_us >= 0;
  if (possible) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument, "a command cannot have ended like this");
}

}  // namespace pyro::state
