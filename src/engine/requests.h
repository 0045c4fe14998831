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
enum class Stdin { kOpen, kEmpty };             // Whether the caller can send data on it.
inline Stdin StdinOf(const CallIo& io) { return io.stdin_fd < 0 ? Stdin::kEmpty : Stdin::kOpen; }

// The message for the guest. kInvalidArgument: no words, an impossible word, a timeout out of
// range.
Result<wire::Exec> MakeExec(const Command& command, std::int64_t timeout_seconds, TimeLimit limit,
                            Stdin input);

}  // namespace pyro::engine
