#include "engine/exec_result.h"

#include <algorithm>

#include "engine/describe.h"

namespace pyro::engine {

ExecResult MakeExecResult(const CommandSpec& spec, const CommandEnd& end,
                          const std::string& environment, const std::string& accelerator,
                          InTask in_task) {
  ExecResult result;
  result.stdout_bytes = end.stdout_bytes;
  result.stderr_bytes = end.stderr_bytes;
  result.exit_code = end.ExitCode();
  result.outcome = end.outcome;
  result.duration_ms = end.duration_us / 1000;
  result.environment = environment;
  result.accelerator = accelerator;
  result.machine = accelerator;
  result.output_left_open = end.output_left_open;
  result.killed = DescribeKilled(end.killed);
  result.explanation = Explain(spec, end, accelerator, in_task);
  return result;
}

ExecResult MakeGuestResult(const GuestCommand& command, const CommandSession& session,
                           const CommandSpec& spec, const std::string& environment, InTask in_task,
                           const Stopwatch& watch, Timings timings) {
  const wire::Ready& ready = command.ready();
  ExecResult result = MakeExecResult(spec, command.end(), environment, ready.accelerator, in_task);
  result.execution_mode = ready.execution_mode;
  result.kernel = ready.kernel;
  timings.machine_ms = watch.At(SteadyTime(std::chrono::microseconds(ready.machine_at_us)));
  // A busy host hears late that the supervisor listens; by then the machine may run.
  if (timings.machine_ms >= 0) {
    timings.supervised_ms = std::min(timings.supervised_ms, timings.machine_ms);
  }
  timings.ready_ms = watch.At(command.ready_at());
  // A guest that ran before has sent its ready at once.
  const bool fresh = timings.machine_ms >= 0 || ready.start == "spare";
  timings.start = fresh ? ready.start : "";
  timings.first_output_ms = watch.At(session.first_output_at());
  result.timings = timings;
  return result;
}

}  // namespace pyro::engine
