// Turns the end of a command into its caller's result.

#pragma once

#include <chrono>
#include <string>

#include "base/command.h"
#include "base/time.h"
#include "engine/explain.h"
#include "engine/session/guest_command.h"
#include "pyro/types.h"

namespace pyro::engine {

// Milliseconds since it was made.
class Stopwatch {
 public:
  std::int64_t Now() const { return At(std::chrono::steady_clock::now()); }
  // -1 for a time before it was made; the epoch stands for "never".
  std::int64_t At(SteadyTime time) const {
    if (time < start_) return -1;
    return std::chrono::duration_cast<std::chrono::milliseconds>(time - start_).count();
  }

 private:
  SteadyTime start_ = std::chrono::steady_clock::now();
};

// What a result has of the command itself. `accelerator` as in ExecResult.
ExecResult MakeExecResult(const CommandSpec& spec, const CommandEnd& end,
                          const std::string& environment, const std::string& accelerator,
                          InTask in_task);

// The result of a command that ran in a guest, once its session is over. `timings` as far as the
// caller knows them.
ExecResult MakeGuestResult(const GuestCommand& command, const CommandSession& session,
                           const CommandSpec& spec, const std::string& environment, InTask in_task,
                           const Stopwatch& watch, Timings timings);

}  // namespace pyro::engine
