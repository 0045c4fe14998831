// Learns of steps of this host's wall clock without asking it again and again.

#pragma once

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

// Readable once the wall clock was stepped, or this host has slept, since it was opened or last
// taken. Slow corrections, as by NTP, are no steps. It does not block.
Result<UniqueFd> OpenClockSteps();

// Whether there was such a step; `steps` is then not readable until the next. Any other descriptor
// tells of a step by a byte, at least one of up to 4 KiB. An error: it tells nothing any more.
Result<bool> TakeClockStep(int steps);

}  // namespace pyro::sys
