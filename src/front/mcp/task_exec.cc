#include "front/mcp/tools.h"

#include <stdio.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "front/mcp/arguments.h"
#include "front/mcp/call_report.h"
#include "front/mcp/journal_tasks.h"
#include "front/mcp/results.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
using mcp::ToolResult;
using std::chrono::milliseconds;

struct ExecArguments : ExecTaskRequest {
  bool background = false;
  std::string stdin_text;
};

constexpr api::Field kExecArguments[] = {
    api::Inline<ExecArguments, ExecTaskRequest>(),
    api::Absent("journal"),  // The result is read from the journal.
    api::Row<ExecArguments, &ExecArguments::background>(
        "background", "Return at once; it runs on, with no time limit unless given."),
    api::Row<ExecArguments, &ExecArguments::stdin_text>("stdin", "Text."),
};

constexpr milliseconds kStep{1000};  // Between two looks at the number of bytes written.
// A client that takes MCP tasks gets one for what has not ended by then.
constexpr milliseconds kTaskAfter{3000};

// Where the task runs on the host, the command ends with this call.
Answer ExecOnHost(const Host& host, const ExecTaskRequest& request, CallIo io, CallReport& report) {
  EndsSink sink;  // The result is read from the journal.
  io.sink = &sink;
  PYRO_ASSIGN_OR_RETURN(
      const TaskExecResult result,
      host.engine.ExecTask(request.task_id, request.command, request.timeout_seconds, io));
  return TaskCommandResult(host.engine, result.task_id, result.sequence, result.restarted,
                           report.Notices());
}

bool RunsOnHost(Engine& engine, const std::string& task_id) {
  const auto task = engine.StatusTask(task_id);
  return task && task->execution_mode == ExecutionMode::kHostCompat &&
         task->state == GuestState::kStarted;
}

// In the background there is no limit but the one that was asked for.
Result<std::int64_t> LimitOf(Engine& engine, const ExecArguments& request) {
  if (request.timeout_seconds) return *request.timeout_seconds;
  if (request.background) return 0;
  PYRO_ASSIGN_OR_RETURN(const TaskInfo task, engine.StatusTask(request.task_id));
  return task.defaults.timeout_seconds.value_or(kDefaultTimeoutSeconds);
}

// The reason why a wait ended although the command goes on.
Error StillRuns(Error error, const StartedTaskCommand& started) {
  error.message += fmt::format("; command {} of {} goes on", started.sequence, started.task_id);
  error.hint = fmt::format("task_logs(task_id=\"{}\", sequence={}) reads it", started.task_id,
                           started.sequence);
  return error;
}

}  // namespace

const api::Struct& ExecArgumentRows() {
  static const api::Struct kRows =
      api::Describe<ExecArguments>("ExecArguments", "A command for a task.", kExecArguments);
  return kRows;
}

Answer ExecInTask(const Host& host, CallContext& call, const Json& arguments) {
  Engine& engine = host.engine;
  ExecArguments request;
  PYRO_RETURN_IF_ERROR(ReadArguments(ExecArgumentRows(), arguments, &request));
  const bool background = request.background;
  PYRO_ASSIGN_OR_RETURN(const std::int64_t limit, LimitOf(engine, request));
  CallReport report(call, limit, "running");
  PYRO_ASSIGN_OR_RETURN(const File input, FileOf(request.stdin_text));
  CallIo io = report.Io();
  if (input != nullptr) io.stdin_fd = ::fileno(input.get());
  const auto began = std::chrono::steady_clock::now();
  auto started = engine.StartTaskCommand(request.task_id, request.command, limit, io);
  if (!started) {
    const bool on_host =
        started.error().code == ErrorCode::kWrongState && RunsOnHost(engine, request.task_id);
    if (on_host && !background) return ExecOnHost(host, request, io, report);
    return std::move(started).error();
  }
  report.Say("running");
  if (background) return RunningResult(engine, *started, report.Notices());
  while (true) {
    const auto left = std::chrono::duration_cast<milliseconds>(began + host.answer_after -
                                                               std::chrono::steady_clock::now());
    const auto command_now = engine.GetTaskCommand(started->task_id, started->sequence,
                                                   std::clamp(left, milliseconds(0), kStep), io);
    if (!command_now) {
      if (command_now.error().code != ErrorCode::kCancelled) {
        return StillRuns(command_now.error(), *started);
      }
      // The loss of a client, or the end of a server, does not stop the work.
      if (call.cancel_reason() == mcp::CancelReason::kRequested) {
        (void)engine.CancelTaskCommand(started->task_id, started->sequence);
      }
      return command_now.error();
    }
    if (command_now->state == CommandState::kEnded) {
      return TaskCommandResult(engine, started->task_id, started->sequence, started->restarted,
                               report.Notices());
    }
    report.Wrote(command_now->stdout_bytes, command_now->stderr_bytes);
    const auto waited = std::chrono::steady_clock::now() - began;
    if (call.MayAnswerWithTask() && waited >= kTaskAfter) {
      PYRO_ASSIGN_OR_RETURN(mcp::TaskState state,
                            McpTaskState(engine, *command_now, WithResult::kNo));
      return ToolResult::AsTask(std::move(state));
    }
    // Before the client gives the call up and has the command killed.
    if (waited >= host.answer_after) return RunningResult(engine, *started, report.Notices());
  }
}

}  // namespace pyro::mcp_server
