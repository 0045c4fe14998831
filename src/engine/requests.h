// Checks of callers' requests, before any work.

#pragma once

#include <string>
#include <vector>

#include "pyro/engine.h"
#include "pyro/result.h"
#include "pyro/types.h"
#include "wire/messages.h"

namespace pyro::engine {

// The directory in which commands run.
inline constexpr const char* kWorkspace = "/workspace";

enum class TimeLimit { kRequired, kOptional };  // kOptional: 0 seconds stand for none.

// The message for the guest. kInvalidArgument: no words, an impossible word, a timeout out of
// range, a stdin that cannot be read.
Result<wire::Exec> MakeExec(const Command& command, std::int64_t timeout_seconds, TimeLimit limit,
                            const CallIo& io);

}  // namespace pyro::engine
