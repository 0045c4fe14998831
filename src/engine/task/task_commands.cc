// Single commands of a task's journal: status, output page by page, cancellation.

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "engine/describe.h"
#include "engine/instance/guest_process.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/instance_guest.h"
#include "engine/local_engine.h"
#include "engine/machine.h"
#include "engine/session/journaled_command.h"
#include "engine/session/recorded_command.h"
#include "state/instance/instance_directory.h"
#include "state/journal/journal.h"

namespace pyro::engine {
namespace {

using std::chrono::milliseconds;

Status CheckPage(std::int64_t limit, milliseconds wait) {
  if (limit < 1 || limit > static_cast<std::int64_t>(kMaxResultBytes)) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("limit is {}", limit),
                     fmt::format("limit takes 1 to {} bytes", kMaxResultBytes));
  }
  if (wait < milliseconds(0) || wait > std::chrono::seconds(kMaxTimeoutSeconds)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the time to wait is {} ms", wait.count()),
                     "wait for 0 seconds to 7 days");
  }
  return OkStatus();
}

// A command with its sizes, also while it runs.
Result<TaskCommandInfo> Describe(const Context& context, const std::filesystem::path& directory,
                                 const state::CommandRecord& command,
                                 std::string_view accelerator) {
  TaskCommandInfo info{DescribeCommand(context, command, accelerator)};
  info.task_id = command.task_id.str();
  if (command.end) return info;
  PYRO_ASSIGN_OR_RETURN(const state::OutputSizes sizes,
                        state::ReadOutputSizes(directory, command.sequence));
  info.stdout_bytes = sizes.stdout_bytes;
  info.stderr_bytes = sizes.stderr_bytes;
  return info;
}

Error DeletedMeanwhile(const InstanceId& id) {
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("task '{}' was deleted during the wait", id.str()),
                   "its journal is gone with it; `pyro task list` shows the others");
}

// A page of one stream: over once it has some bytes, or as any command is.
class OutputPage : public RecordedCommand {
 public:
  OutputPage(RecordedCommand command, OutputStream stream, std::uint64_t offset, std::size_t limit)
      : RecordedCommand(std::move(command)), limit_(limit) {
    page_.stream = stream;
    page_.offset = offset;
  }

  bool over() const override { return !page_.text.empty() || RecordedCommand::over(); }

  Status Advance(const Polls& polls, SteadyTime now) override {
    PYRO_RETURN_IF_ERROR(RecordedCommand::Advance(polls, now));
    // In this order: a read after the end was seen gets all of it.
    const bool has_ended = ended();
    PYRO_ASSIGN_OR_RETURN(page_.text, state::ReadOutput(directory(), command().sequence,
                                                        page_.stream, page_.offset, limit_));
    PYRO_ASSIGN_OR_RETURN(const state::OutputSizes sizes,
                          state::ReadOutputSizes(directory(), command().sequence));
    page_.total_bytes =
        page_.stream == OutputStream::kStdout ? sizes.stdout_bytes : sizes.stderr_bytes;
    const bool more = !has_ended || page_.offset + page_.text.size() < page_.total_bytes;
    if (more && limit_ > 3) page_.text.resize(WithoutCutEnd(page_.text).size());
    page_.next_offset = page_.offset + page_.text.size();
    page_.complete = has_ended && page_.next_offset >= page_.total_bytes;
    return OkStatus();
  }

  TaskOutput& page() { return page_; }

 private:
  TaskOutput page_;
  std::size_t limit_;
};

}  // namespace

Result<TaskCommandInfo> LocalEngine::GetTaskCommand(const std::string& task_id,
                                                    std::int64_t sequence,
                                                    std::chrono::milliseconds wait,
                                                    const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckPage(1, wait));
  PYRO_ASSIGN_OR_RETURN(RecordedCommand recorded,
                        RecordedCommand::Open(context_, task_id, sequence, Deadline::After(wait)));
  PYRO_RETURN_IF_ERROR(CommandSession(recorded, nullptr, io).Run());
  PYRO_ASSIGN_OR_RETURN(TaskCommandInfo info, Describe(context_, recorded.directory(),
                                                       recorded.command(), recorded.accelerator()));
  if (recorded.ended()) {
    AdviseUsermode(context_, recorded.accelerator(), info.duration_ms, io);
  }
  return info;
}

Result<TaskWait> LocalEngine::WaitTask(const std::string& task_id,
                                       std::optional<std::int64_t> sequence, milliseconds limit,
                                       const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckPage(1, limit));
  const Deadline until = limit == milliseconds(0) ? Deadline::Never() : Deadline::After(limit);
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  const InstanceId& id = found.instance.id;
  if (sequence) PYRO_RETURN_IF_ERROR(found.registry.GetCommand(id, *sequence));
  TaskWait waited;
  waited.task_id = id.str();
  waited.complete = true;
  const auto wait = [&](std::int64_t one) -> Status {
    PYRO_ASSIGN_OR_RETURN(RecordedCommand recorded,
                          RecordedCommand::Open(context_, id.str(), one, until));
    PYRO_RETURN_IF_ERROR(CommandSession(recorded, nullptr, io).Run());
    waited.complete = waited.complete && recorded.ended();
    PYRO_ASSIGN_OR_RETURN(
        TaskCommandInfo info,
        Describe(context_, recorded.directory(), recorded.command(), recorded.accelerator()));
    waited.commands.push_back(std::move(info));
    return OkStatus();
  };
  const auto wait_for_all = [&]() -> Status {
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto running, found.registry.RunningCommands(id));
      for (const std::int64_t one : running) PYRO_RETURN_IF_ERROR(wait(one));
      if (!running.empty() && waited.complete) continue;  // Others may have begun meanwhile.
      if (!found.registry.Get(id)) return DeletedMeanwhile(id);
      return OkStatus();
    }
  };
  const Status done = sequence ? wait(*sequence) : wait_for_all();
  if (!done && done.error().code == ErrorCode::kNotFound) return DeletedMeanwhile(id);
  if (!done) return done.error();
  return waited;
}

Result<TaskCommandPage> LocalEngine::ListTaskCommands(const std::string& task_id,
                                                      std::int64_t first, std::int64_t limit) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  PYRO_ASSIGN_OR_RETURN(const std::vector<state::CommandRecord> commands,
                        found.registry.ListCommands(found.instance.id, RangeOf(first, limit)));
  const auto directory = state::InstanceDirectory(context_.state, found.instance.id);
  TaskCommandPage page;
  page.task_id = found.instance.id.str();
  page.total = found.instance.command_count;
  for (const state::CommandRecord& command : commands) {
    PYRO_ASSIGN_OR_RETURN(TaskCommandInfo info,
                          Describe(context_, directory, command, found.instance.accelerator));
    page.entries.push_back(std::move(info));
  }
  if (limit < 0) std::reverse(page.entries.begin(), page.entries.end());
  return page;
}

Result<TaskOutput> LocalEngine::ReadTaskOutput(const std::string& task_id, std::int64_t sequence,
                                               OutputStream stream, std::uint64_t offset,
                                               std::int64_t limit, std::chrono::milliseconds wait,
                                               const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckPage(limit, wait));
  PYRO_ASSIGN_OR_RETURN(RecordedCommand recorded,
                        RecordedCommand::Open(context_, task_id, sequence, Deadline::After(wait)));
  PYRO_RETURN_IF_ERROR(recorded.Follow(state::OutputFile(recorded.directory(), sequence, stream)));
  OutputPage output(std::move(recorded), stream, offset, static_cast<std::size_t>(limit));
  PYRO_RETURN_IF_ERROR(CommandSession(output, nullptr, io).Run());
  TaskOutput page = std::move(output.page());
  PYRO_ASSIGN_OR_RETURN(
      page.command, Describe(context_, output.directory(), output.command(), output.accelerator()));
  return page;
}

Result<TaskCommandInfo> LocalEngine::CancelTaskCommand(const std::string& task_id,
                                                       std::int64_t sequence, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  const InstanceId id = found.instance.id;
  PYRO_ASSIGN_OR_RETURN(state::CommandRecord command, found.registry.GetCommand(id, sequence));
  if (!command.end && command.execution_mode == ExecutionMode::kHostCompat) {
    return MakeError(ErrorCode::kWrongState,
                     "the command runs on the host, in the process that started it",
                     "interrupt that process");
  }
  if (!command.end) {
    PYRO_ASSIGN_OR_RETURN(Held held, TakeOver(PlaceOf(context_, id)));
    if (held.link) {
      CommandKiller killer(*held.link, sequence, io);
      const Status status = CommandSession(killer, nullptr, io).Run();
      // It may have ended at the same moment in any way: the registry has its end.
      const bool over = !status && (status.error().code == ErrorCode::kNotFound ||
                                    status.error().code == ErrorCode::kGuestUnavailable);
      if (!status && !over) return status.error();
    }
    held.lock.reset();
    PYRO_RETURN_IF_ERROR(ReconcileAll(found.registry, context_, InstanceKind::kTask));
    PYRO_ASSIGN_OR_RETURN(command, found.registry.GetCommand(id, sequence));
  }
  if (!command.end) {
    return MakeError(
        ErrorCode::kUnavailable,
        fmt::format("command {} was killed, but its end is not recorded yet", sequence),
        "look at it again; if it stays so, the disk may be full");
  }
  return Describe(context_, state::InstanceDirectory(context_.state, id), command,
                  found.instance.accelerator);
}

}  // namespace pyro::engine
