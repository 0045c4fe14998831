// Checks of callers' requests, before any work.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pyro/engine.h"
#include "pyro/result.h"
#include "pyro/types.h"
#include "wire/messages.h"

namespace pyro::engine {

// The directory in which commands run that name no other.
inline constexpr const char* kWorkspace = "/workspace";

// The message for the guest. kInvalidArgument: no words, an impossible word, variable or directory,
// a timeout out of range, a stdin that cannot be read.
Result<wire::Exec> MakeExec(const Command& command, std::int64_t timeout_seconds, const CallIo& io);

// The same check of a user and of a path in the guest that has this name among the arguments.
Status CheckUser(const std::string& user);
Status CheckPath(std::string_view name, const std::string& path);

// Of a command that outlives its caller: the guest holds all of its stdin, so that the call never
// waits for the command. kInvalidArgument: it is no regular file, or has more than
// kMaxBackgroundInput bytes left.
Status CheckBackgroundInput(const CallIo& io);

}  // namespace pyro::engine
