// Turns the relay's outcome into the caller's result.

#pragma once

#include <chrono>

#include "base/time.h"
#include "engine/command_relay.h"
#include "engine/explain.h"
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

enum class InTask { kNo, kYes };

inline ExecResult MakeExecResult(const RelayResult& relayed, const wire::Exec& exec,
                                 const std::string& environment, InTask in_task,
                                 const Stopwatch& watch, Timings timings) {
  const wire::Exited& exited = relayed.exited;
  ExecResult result;
  result.stdout_bytes = exited.stdout_bytes;
  result.stderr_bytes = exited.stderr_bytes;
  result.exit_code = exited.outcome.ExitCode();
  result.outcome = wire::OutcomeName(exited.outcome.kind);
  result.duration_ms = exited.duration_us / 1000;
  result.execution_mode = relayed.ready.execution_mode;
  result.environment = environment;
  result.kernel = relayed.ready.kernel;
  result.accelerator = relayed.ready.accelerator;
  result.output_left_open = exited.output_left_open;
  result.explanation = Explain({.argv = exec.argv,
                                .outcome = exited.outcome,
                                .timeout_ms = exec.timeout_ms,
                                .accelerator = relayed.ready.accelerator,
                                .output_left_open = exited.output_left_open,
                                .in_task = in_task == InTask::kYes});
  timings.machine_ms = watch.At(SteadyTime(std::chrono::microseconds(relayed.ready.machine_at_us)));
  timings.ready_ms = watch.At(relayed.ready_at);
  // A guest that ran before has sent its ready at once.
  const bool fresh = timings.machine_ms >= 0 || relayed.ready.start == "spare";
  timings.start = fresh ? relayed.ready.start : "";
  timings.first_output_ms = watch.At(relayed.first_output_at);
  result.timings = timings;
  return result;
}

}  // namespace pyro::engine
