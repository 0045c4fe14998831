// The registry's record of one command of a task: an entry of its journal.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "pyro/result.h"
#include "registry/instance_record.h"

namespace pyro::registry {

enum class CommandOutcome {
  kExited,       // `code` is the exit code.
  kSignalled,    // `code` is the signal's number.
  kTimedOut,     // Killed at its timeout.
  kCancelled,    // Killed because a client asked.
  kNotStarted,   // `code` is the errno of exec.
  kInterrupted,  // The guest or its supervisor died first: it may have ended or not.
};

// As a shell reports an interrupted command: pyro's own failure.
inline constexpr int kInterruptedExitCode = 125;

// The command to run.
struct CommandSpec {
  std::vector<std::string> argv;  // Not empty; any bytes but NUL.
  std::string cwd;
  std::int64_t timeout_ms = 0;  // 0: none.
  ExecutionMode execution_mode = ExecutionMode::kPending;
};

// The end of a command.
struct CommandEnd {
  CommandOutcome outcome = CommandOutcome::kExited;
  int code = 0;
  int exit_code = 0;               // As a shell reports it.
  std::int64_t duration_us = 0;    // Measured where it ran; 0, unknown, for an interrupted one.
  WallTime ended_at{};             // Of an interrupted one: the time when that was noticed.
  std::uint64_t stdout_bytes = 0;  // Bytes that it wrote.
  std::uint64_t stderr_bytes = 0;
  std::uint64_t stdout_dropped = 0;  // Of these, not in the journal.
  std::uint64_t stderr_dropped = 0;
  // Processes in the background still held stdout or stderr: what they wrote later was not kept.
  bool output_left_open = false;

  std::uint64_t kept_bytes() const {
    return stdout_bytes - stdout_dropped + (stderr_bytes - stderr_dropped);
  }
};

struct CommandRecord : CommandSpec {
  CommandRecord(InstanceId of_task, std::int64_t number, CommandSpec spec)
      : CommandSpec(std::move(spec)), task_id(std::move(of_task)), sequence(number) {}

  InstanceId task_id;
  std::int64_t sequence;  // From 1, in the order in which they were recorded.
  WallTime started_at{};
  std::optional<CommandEnd> end;  // Empty: it runs, or ran until its supervisor was killed.
};

// The commands that ListCommands returns.
struct CommandRange {
  std::int64_t from_sequence = 1;  // This one and later ones; newest first: and earlier ones.
  std::int64_t limit = INT64_MAX;
  bool newest_first = false;  // With from_sequence INT64_MAX: the last ones.
};

// kInvalidArgument: an impossible end, such as more bytes dropped than written.
Status CheckCommandEnd(const CommandEnd& end);

// "exited" and so on, as stored and as shown.
std::string_view CommandOutcomeName(CommandOutcome outcome);
std::optional<CommandOutcome> ParseCommandOutcome(std::string_view name);

}  // namespace pyro::registry
