#include "front/mcp/journal_tasks.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/age.h"
#include "base/ids.h"
#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "front/mcp/results.h"
#include "mcp/protocol/tool.h"

namespace pyro::mcp_server {
namespace {

// The epoch for what is no time.
WallTime TimeOf(const std::string& text) { return ParseTime(text).value_or(WallTime{}); }

std::string Describe(const TaskCommandInfo& command) {
  const std::string words = Printable(ShellJoin(command.command), 80);
  const std::string output = FormatBytes(command.stdout_bytes + command.stderr_bytes);
  if (command.state == CommandState::kRunning) {
    return fmt::format("command {} runs ({} of output): {}", command.sequence, output, words);
  }
  return fmt::format("command {} {}, exit_code={} ({} of output): {}", command.sequence,
                     Name(*command.outcome), command.exit_code, output, words);
}

Error NoSuchTask(std::string_view id) {
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("there is no MCP task '{}'", Printable(id, 80)),
                   "task_logs shows the commands of a task");
}

}  // namespace

std::string McpTaskId(std::string_view task_id, std::int64_t sequence) {
  return fmt::format("{}.{}", task_id, sequence);
}

std::optional<CommandRef> ParseMcpTaskId(std::string_view id) {
  const std::size_t dot = id.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto task = InstanceId::Parse(InstanceKind::kTask, id.substr(0, dot));
  const std::string_view number = id.substr(dot + 1);
  const auto sequence = ParseInt(number);
  if (!task || !sequence || *sequence < 1 || std::to_string(*sequence) != number) {
    return std::nullopt;
  }
  return CommandRef{task->str(), *sequence};
}

Result<mcp::TaskState> McpTaskState(Engine& engine, const TaskCommandInfo& command,
                                    WithResult with_result) {
  mcp::TaskState state;
  state.id = McpTaskId(command.task_id, command.sequence);
  state.message = Describe(command);
  state.created_at = TimeOf(command.started_at);
  // Of a running command this is the time of the look, by the clock of the engine.
  state.updated_at = command.ended_at.empty()
                         ? state.created_at + std::chrono::milliseconds(command.duration_ms)
                         : TimeOf(command.ended_at);
  if (command.state == CommandState::kRunning) return state;
  if (command.outcome == Outcome::kCancelled) {
    state.status = mcp::TaskStatus::kCancelled;
    return state;
  }
  if (command.outcome == Outcome::kInterrupted) {
    state.status = mcp::TaskStatus::kFailed;
    state.failure = mcp::TaskFailure{.message = "the task's guest went away while the command ran"};
    return state;
  }
  state.status = mcp::TaskStatus::kCompleted;
  if (with_result == WithResult::kNo) return state;
  PYRO_ASSIGN_OR_RETURN(mcp::ToolResult result,
                        TaskCommandResult(engine, command.task_id, command.sequence, false, {}));
  state.result = std::make_shared<const mcp::ToolResult>(std::move(result));
  return state;
}

Result<TaskCommandInfo> JournalTasks::Find(const std::string& id) {
  const auto ref = ParseMcpTaskId(id);
  if (!ref) return NoSuchTask(id);
  auto command = engine_.GetTaskCommand(ref->task_id, ref->sequence);
  if (!command && command.error().code == ErrorCode::kNotFound) return NoSuchTask(id);
  return command;
}

Result<mcp::TaskState> JournalTasks::Get(const std::string& id, const std::string&) {
  PYRO_ASSIGN_OR_RETURN(const TaskCommandInfo command, Find(id));
  return McpTaskState(engine_, command, WithResult::kYes);
}

Status JournalTasks::Cancel(const std::string& id, const std::string&) {
  PYRO_ASSIGN_OR_RETURN(const TaskCommandInfo command, Find(id));
  PYRO_RETURN_IF_ERROR(engine_.CancelTaskCommand(command.task_id, command.sequence));
  return OkStatus();
}

Status JournalTasks::Answer(const std::string& id, const std::string&, const mcp::InputAnswers&) {
  PYRO_RETURN_IF_ERROR(Find(id));
  return OkStatus();
}

}  // namespace pyro::mcp_server
