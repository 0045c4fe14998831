// The registry's record of one command of a task: an entry of its journal.

#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/command.h"
#include "base/fields.h"
#include "base/ids.h"
#include "base/time.h"
#include "pyro/enums.h"
#include "pyro/result.h"

namespace pyro::state {

// What is known before the command runs.
struct CommandBegin : CommandSpec {
  ExecutionMode execution_mode = ExecutionMode::kPending;
  WallTime started_at{};
};

struct CommandRecord : CommandBegin {
  CommandRecord(InstanceId of_task, std::int64_t number, CommandBegin begin)
      : CommandBegin(std::move(begin)), task_id(std::move(of_task)), sequence(number) {}

  InstanceId task_id;
  std::int64_t sequence;          // From 1, in the order in which they were recorded.
  std::optional<CommandEnd> end;  // Empty: it runs, or ran until its supervisor was killed.
};

// The commands that ListCommands returns.
struct CommandRange {
  std::int64_t from_sequence = 1;  // This one and later ones; newest first: and earlier ones.
  std::int64_t limit = INT64_MAX;
  bool newest_first = false;  // With from_sequence INT64_MAX: the last ones.
};

// Milliseconds that can still be added to and shown: before the year 10000.
inline constexpr std::int64_t kMaxStoredTime = 253'402'300'799'999;
// Sums of several stay far from the end of 64 bits.
inline constexpr std::int64_t kMaxStreamBytes = std::int64_t{1} << 60;

// The fields of a line of the journal and of a row of `commands`. Words and paths, which may hold
// any bytes, are not among them, nor is what follows from others.
inline constexpr Field kCommandBeginFields[] = {
    Row<CommandBegin, &CommandBegin::timeout_ms>("timeout_ms").To(kMaxStoredTime),
    // Lines of earlier versions do not say. Of the most bytes that a frame takes.
    Row<CommandBegin, &CommandBegin::user>("user").To(256).MayLack(),
    Row<CommandBegin, &CommandBegin::execution_mode>("execution_mode"),
    Row<CommandBegin, &CommandBegin::started_at>("started_at").To(kMaxStoredTime),
};
inline constexpr Field kCommandEndFields[] = {
    Row<CommandEnd, &CommandEnd::outcome>("outcome"),
    Row<CommandEnd, &CommandEnd::code>("code").To(4095),
    Row<CommandEnd, &CommandEnd::duration_us>("duration_us"),
    Row<CommandEnd, &CommandEnd::ended_at>("ended_at").To(kMaxStoredTime),
    Row<CommandEnd, &CommandEnd::stdout_bytes>("stdout_bytes").To(kMaxStreamBytes),
    Row<CommandEnd, &CommandEnd::stderr_bytes>("stderr_bytes").To(kMaxStreamBytes),
    Row<CommandEnd, &CommandEnd::stdout_dropped>("stdout_dropped").To(kMaxStreamBytes),
    Row<CommandEnd, &CommandEnd::stderr_dropped>("stderr_dropped").To(kMaxStreamBytes),
    // Lines of earlier versions do not say.
    Row<CommandEnd, &CommandEnd::output_left_open>("output_left_open").MayLack(),
    Row<CommandEnd, &CommandEnd::disk_failed>("disk_failed").MayLack(),
};

// kInvalidArgument: an impossible end, such as more bytes dropped than written.
Status CheckCommandEnd(const CommandEnd& end);

}  // namespace pyro::state
