// Starting a journaled command that goes on without its caller.

#pragma once

#include <cstdint>

#include "engine/supervisor_link.h"
#include "pyro/engine.h"
#include "pyro/result.h"
#include "wire/messages.h"

namespace pyro::engine {

// Returns the sequence once the command is recorded; dropping the link then leaves it running.
// kCancelled: it was not recorded, or is killed. kGuestUnavailable: the guest could not start.
Result<std::int64_t> StartInBackground(SupervisorLink& link, const wire::Exec& exec,
                                       const CallIo& io);

// Kills the command of that sequence and returns once its end is recorded, or cannot be recorded.
// kNotFound: it does not run.
Status CancelBySequence(SupervisorLink& link, std::int64_t sequence, const CallIo& io);

}  // namespace pyro::engine
