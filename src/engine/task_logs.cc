// Reading a task's journal, whether its guest runs or not.

#include <poll.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/local_engine.h"
#include "engine/task_files.h"
#include "engine/task_relay.h"
#include "registry/journal.h"
#include "registry/task_directory.h"

namespace pyro {
namespace engine {
namespace {

// The interval at which a followed command's end is looked up in the registry.
constexpr int kLookMs = 250;
constexpr int kReapEvery = 20;  // Looks between two reaps: its supervisor may have been killed.

Result<TaskLogEntry> ReadEntry(const Context& context, const std::filesystem::path& directory,
                               const registry::CommandRecord& command,
                               std::string_view accelerator) {
  TaskLogEntry entry{DescribeCommand(context, command, accelerator)};
  PYRO_ASSIGN_OR_RETURN(registry::OutputText out,
                        registry::ReadOutputEnds(directory, command.sequence, OutputStream::kStdout,
                                                 kMaxResultBytes));
  PYRO_ASSIGN_OR_RETURN(registry::OutputText err,
                        registry::ReadOutputEnds(directory, command.sequence, OutputStream::kStderr,
                                                 kMaxResultBytes));
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

// One round of waiting: for more output, for the sink, for the caller's cancellation.
Status WaitForMore(const JournalTail& tail, const CallIo& io) {
  std::array<pollfd, 4> polls = {{{tail.drained() ? tail.changed_fd() : -1, POLLIN, 0},
                                  {io.cancel_fd, POLLIN, 0},
                                  {tail.WaitFd(0), POLLOUT, 0},
                                  {tail.WaitFd(1), POLLOUT, 0}}};
  ::poll(polls.data(), polls.size(), kLookMs);
  if (polls[1].revents != 0) return MakeError(ErrorCode::kCancelled, "cancelled");
  return OkStatus();
}

}  // namespace

registry::CommandRange RangeOf(std::int64_t first, std::int64_t limit) {
  registry::CommandRange range;
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

}  // namespace engine

Result<TaskLogs> LocalEngine::LogsTask(const std::string& task_id, std::int64_t first,
                                       std::int64_t limit) {
  PYRO_ASSIGN_OR_RETURN(engine::FoundTask found, engine::FindTask(impl_->context, task_id));
  PYRO_ASSIGN_OR_RETURN(std::vector<registry::CommandRecord> commands,
                        found.registry.ListCommands(found.task.id, engine::RangeOf(first, limit)));
  if (limit < 0) std::reverse(commands.begin(), commands.end());
  const auto directory = registry::TaskDirectory(impl_->context.state, found.task.id);
  TaskLogs logs;
  logs.task_id = found.task.id.str();
  for (const registry::CommandRecord& command : commands) {
    PYRO_ASSIGN_OR_RETURN(TaskLogEntry entry, engine::ReadEntry(impl_->context, directory, command,
                                                                found.task.accelerator));
    logs.entries.push_back(std::move(entry));
  }
  return logs;
}

Result<TaskCommand> LocalEngine::ReadTaskCommand(const std::string& task_id, std::int64_t sequence,
                                                 Follow follow, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(engine::FoundTask found, engine::FindTask(impl_->context, task_id));
  const InstanceId id = found.task.id;
  PYRO_ASSIGN_OR_RETURN(registry::CommandRecord command, found.registry.GetCommand(id, sequence));
  PYRO_ASSIGN_OR_RETURN(engine::JournalTail tail,
                        engine::JournalTail::Open(registry::TaskDirectory(impl_->context.state, id),
                                                  sequence, *io.sink));
  for (int looks = 1;; ++looks) {
    // In this order: a read after the end was seen gets all of it.
    const bool complete = command.end.has_value() || follow == Follow::kNo;
    PYRO_RETURN_IF_ERROR(tail.Copy());
    if (complete && tail.drained())
      return engine::DescribeCommand(impl_->context, command, found.task.accelerator);
    PYRO_RETURN_IF_ERROR(engine::WaitForMore(tail, io));
    if (complete) continue;
    if (looks % engine::kReapEvery == 0) {
      PYRO_RETURN_IF_ERROR(engine::ReapTasks(found.registry, impl_->context));
    }
    PYRO_ASSIGN_OR_RETURN(command, found.registry.GetCommand(id, sequence));
  }
}

}  // namespace pyro
