// Checks of callers' requests, before any work.

#pragma once

#include <string>
#include <vector>

#include "pyro/result.h"
#include "pyro/types.h"
#include "wire/messages.h"

namespace pyro::engine {

// The directory in which commands run.
inline constexpr const char* kWorkspace = "/workspace";

// kInvalidArgument, naming the field as users know it.
Status CheckVmOptions(const VmOptions& options);

// The message for the guest. kInvalidArgument: no words, an impossible word, a timeout out of
// range.
Result<wire::Exec> MakeExec(const Command& command, std::int64_t timeout_seconds);

}  // namespace pyro::engine
