// Reading a task's journal, whether its guest runs or not.

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "api/rows.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/describe.h"
#include "engine/instance/instance_files.h"
#include "engine/local_engine.h"
#include "engine/session/recorded_command.h"
#include "state/instance/instance_directory.h"
#include "state/journal/journal.h"
#include "state/journal/network_changes.h"

namespace pyro::engine {
namespace {

Result<TaskLogEntry> ReadEntry(const Context& context, const std::filesystem::path& directory,
                               const state::CommandRecord& command, std::string_view accelerator) {
  TaskLogEntry entry{DescribeCommand(context, command, accelerator)};
  PYRO_ASSIGN_OR_RETURN(
      state::OutputText out,
      state::ReadOutputEnds(directory, command.sequence, OutputStream::kStdout, kMaxResultBytes));
  PYRO_ASSIGN_OR_RETURN(
      state::OutputText err,
      state::ReadOutputEnds(directory, command.sequence, OutputStream::kStderr, kMaxResultBytes));
  if (!command.end) {
    entry.stdout_bytes = out.bytes;
    entry.stderr_bytes = err.bytes;
  }
  entry.stdout_text = std::move(out.text);
  entry.stderr_text = std::move(err.text);
  entry.stdout_truncated = out.truncated;
  entry.stderr_truncated = err.truncated;
  return entry;
}

}  // namespace

state::CommandRange RangeOf(std::int64_t first, std::int64_t limit) {
  state::CommandRange range;
  if (limit < 0) {
    range.newest_first = true;
    range.from_sequence = INT64_MAX;
    range.limit = -limit;
  } else {
    range.from_sequence = std::max<std::int64_t>(first, 1);
    range.limit = limit == 0 ? INT64_MAX : limit;
  }
  return range;
}

Result<TaskLogs> LocalEngine::LogsTask(const std::string& task_id, std::int64_t first,
                                       std::int64_t limit) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  PYRO_ASSIGN_OR_RETURN(std::vector<state::CommandRecord> commands,
                        found.registry.ListCommands(found.instance.id, RangeOf(first, limit)));
  if (limit < 0) std::reverse(commands.begin(), commands.end());
  const auto directory = state::InstanceDirectory(context_.state, found.instance.id);
  TaskLogs logs;
  logs.task_id = found.instance.id.str();
  for (const state::CommandRecord& command : commands) {
    PYRO_ASSIGN_OR_RETURN(TaskLogEntry entry,
                          ReadEntry(context_, directory, command, found.instance.accelerator));
    logs.entries.push_back(std::move(entry));
  }
  PYRO_ASSIGN_OR_RETURN(const std::vector<state::Reset> resets, state::ReadResets(directory));
  // Those before, between and behind the entries.
  const auto shown = [&](std::int64_t sequence) {
    return logs.entries.empty() || (sequence + 1 >= logs.entries.front().sequence &&
                                    sequence <= logs.entries.back().sequence);
  };
  for (const state::Reset& reset : resets) {
    if (shown(reset.sequence)) logs.resets.push_back(DescribeReset(reset));
  }
  PYRO_ASSIGN_OR_RETURN(const std::vector<state::NetworkChange> changes,
                        state::ReadNetworkChanges(directory));
  for (const state::NetworkChange& change : changes) {
    if (!shown(change.sequence)) continue;
    logs.network_changes.push_back(
        {Printable(change.rule, 300), change.sequence, FormatTime(change.changed_at)});
  }
  return logs;
}

Result<TaskCommand> LocalEngine::ReadTaskCommand(const std::string& task_id, std::int64_t sequence,
                                                 Follow follow, const CallIo& io,
                                                 const OutputOffsets& from) {
  PYRO_RETURN_IF_ERROR(api::CheckRanges(from));
  const Deadline until =
      follow == Follow::kYes ? Deadline::Never() : Deadline::After(std::chrono::milliseconds(0));
  PYRO_ASSIGN_OR_RETURN(RecordedCommand recorded,
                        RecordedCommand::Open(context_, task_id, sequence, until));
  PYRO_RETURN_IF_ERROR(recorded.OpenOutput(from));
  PYRO_RETURN_IF_ERROR(CommandSession(recorded, io.sink, io).Run());
  return DescribeCommand(context_, recorded.command(), recorded.accelerator());
}

}  // namespace pyro::engine
