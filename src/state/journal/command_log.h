// tasks/<id>/journal.jsonl: a copy of the registry's rows of the task's commands, with a line at
// the begin and one at the end of each. It restores a registry that is lost, or behind after a
// kill. The registry is authoritative: a command has ended once its row says so.

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "pyro/result.h"
#include "state/journal/command_record.h"
#include "sys/unique_fd.h"

namespace pyro::state {

std::filesystem::path CommandLogFile(const std::filesystem::path& task_dir);

// Appends; one per task, its supervisor's. Not thread-safe.
class CommandLog {
 public:
  // Ends a line that a crash cut off.
  static Result<CommandLog> Open(const std::filesystem::path& task_dir);

  // After BeginCommand, before the command runs. Not synced: a power cut may take it.
  Status Begin(const CommandRecord& command);

  // After JournalWriter::Finish and before EndCommand. On disk when it returns.
  Status End(std::int64_t sequence, const CommandEnd& end);

 private:
  explicit CommandLog(sys::UniqueFd fd) : fd_(std::move(fd)) {}
  Status AppendLine(std::string_view line);

  sys::UniqueFd fd_;
};

// The commands of the log and of the directories under commands/, ascending. One that never ended
// is interrupted at `now`. Malformed lines are left out; `bad_lines` counts them. Works through
// files of any length.
struct ReplayedCommands {
  std::vector<CommandRecord> commands;
  std::uint64_t bad_lines = 0;
};
Result<ReplayedCommands> ReplayCommands(const std::filesystem::path& task_dir, const InstanceId& id,
                                        WallTime now);

// For Registry::InterruptRunning: the end of a command that is recorded as running although its
// supervisor is dead. It is the end in the log, or else interrupted at `now` with the sizes of its
// files.
CommandEnd RecoverEnd(const std::filesystem::path& task_dir, std::int64_t sequence, WallTime now);

}  // namespace pyro::state
