// The registry's record of one command of a task: an entry of its journal.

#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/command.h"
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

// kInvalidArgument: an impossible end, such as more bytes dropped than written.
Status CheckCommandEnd(const CommandEnd& end);

}  // namespace pyro::state
