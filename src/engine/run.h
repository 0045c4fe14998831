// Runs of one command, each in a guest of its own.

#pragma once

#include <string>

#include "engine/context.h"
#include "pyro/result.h"
#include "pyro/types.h"

namespace pyro::engine {

// Runs `true` in a guest of an installed environment, on the machine of a call that names none. It
// starts as a run's guest does, but a spare is left for those who wait for one. Errors as
// Engine::RunInVm().
Result<ExecResult> TryGuest(const Context& context, const std::string& environment,
                            const CallIo& io);

}  // namespace pyro::engine
