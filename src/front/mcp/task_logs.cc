#include "front/mcp/tools.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "api/json.h"
#include "base/text.h"
#include "base/try.h"
#include "front/mcp/arguments.h"
#include "front/mcp/call_report.h"
#include "front/mcp/results.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
using mcp::ToolResult;
using std::chrono::milliseconds;

constexpr std::int64_t kMaxPageBytes = 16384;
constexpr std::int64_t kMaxWaitSeconds = 600;
constexpr std::int64_t kDefaultEntries = 10;
constexpr std::size_t kListBudget = 29000;
constexpr std::size_t kEntryFacts = 800;  // The size of an entry without its command and output.

struct LogsArguments : ReadTaskOutputRequest {
  std::int64_t sequence = 0;  // As the next: 0: not given.
  std::int64_t limit = 0;
  std::int64_t first = 0;
};

constexpr api::Field kLogsArguments[] = {
    api::Inline<LogsArguments, ReadTaskOutputRequest>(),
    api::Row<LogsArguments, &LogsArguments::sequence>("sequence", "One command.").In(1),
    api::Row<LogsArguments, &LogsArguments::limit>(
        "limit", "Bytes of a page (default 16384), or how many commands (at most 20, default 10).")
        .In(1, kMaxPageBytes),
    api::Row<LogsArguments, &LogsArguments::wait>(
        "wait_seconds",
        "With sequence: wait for its end or, with stream, for more output; at most 45 s a call.")
        .In(0, kMaxWaitSeconds),
    api::Row<LogsArguments, &LogsArguments::first>("first", "List from this command on.").In(1),
};

Error Misused(std::string_view what, std::string_view hint) {
  return MakeError(ErrorCode::kInvalidArgument, std::string(what), std::string(hint));
}

Status CheckCombination(const Json& arguments, std::int64_t limit) {
  const auto has = [&](const char* name) { return arguments.contains(name); };
  if (!has("sequence") && (has("stream") || has("offset") || has("wait_seconds"))) {
    return Misused("stream, offset and wait_seconds are about one command",
                   "give its sequence, too");
  }
  if (has("sequence") && has("first")) {
    return Misused("first is about the list of commands, sequence about one",
                   "give one of the two");
  }
  if (has("sequence") && has("limit") && !has("stream") && !has("offset")) {
    return Misused("limit with a sequence is about a page of one stream", "give stream, too");
  }
  if (!has("sequence") && limit > kMaxEntries) {
    return Misused(
        fmt::format("limit is {}", limit),
        fmt::format("at most {} commands are listed at once; go on with first", kMaxEntries));
  }
  return OkStatus();
}

// Waits in steps, so that progress shows the number of bytes.
Result<TaskCommandInfo> AwaitEnd(Engine& engine, const std::string& task_id, std::int64_t sequence,
                                 milliseconds wait, CallReport& report) {
  const CallIo io = report.Io();
  const auto end = std::chrono::steady_clock::now() + wait;
  while (true) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    PYRO_ASSIGN_OR_RETURN(
        TaskCommandInfo command,
        engine.GetTaskCommand(task_id, sequence,
                              std::clamp(left, milliseconds(0), milliseconds(1000)), io));
    if (command.state == CommandState::kEnded || left <= milliseconds(0)) return command;
    report.Wrote(command.stdout_bytes, command.stderr_bytes);
  }
}

Answer OneCommand(Engine& engine, const LogsArguments& asked, CallReport& report) {
  PYRO_ASSIGN_OR_RETURN(const TaskCommandInfo command,
                        AwaitEnd(engine, asked.task_id, asked.sequence, asked.wait, report));
  PYRO_ASSIGN_OR_RETURN(const TaskLogs logs, engine.LogsTask(command.task_id, asked.sequence, 1));
  Json entries = Json::array();
  for (const TaskLogEntry& entry : logs.entries) {
    entries.push_back(EntryForm(command.task_id, entry, kResultBudget));
  }
  const Notices notices = report.Notices();
  std::string text;
  for (const Json& entry : entries) text += EntryText(entry, WithCommand::kYes, notices);
  ToolResult result = ToolResult::Structured(
      {{"task_id", command.task_id}, {"count", entries.size()}, {"entries", std::move(entries)}});
  if (!notices.empty()) (*result.structured)["notices"] = notices;
  result.content.push_back(mcp::TextContent(text));
  return result;
}

// The newest commands, as JournalForm() has them.
Answer Journal(Engine& engine, const LogsArguments& asked) {
  const std::int64_t limit = asked.limit > 0 ? asked.limit : kDefaultEntries;
  PYRO_ASSIGN_OR_RETURN(Json form, JournalForm(engine, asked.task_id, asked.first, limit));
  std::string text = fmt::format("{} of {} commands\n", form.value("count", 0),
                                 form.value("total", std::int64_t{0}));
  for (const Json& entry : form["entries"]) text += EntryText(entry, WithCommand::kYes);
  ToolResult result = ToolResult::Structured(std::move(form));
  result.content.push_back(mcp::TextContent(text));
  return result;
}

Answer OnePage(Engine& engine, const LogsArguments& asked, CallReport& report) {
  PYRO_ASSIGN_OR_RETURN(
      TaskOutput page, engine.ReadTaskOutput(
                           asked.task_id, asked.sequence, asked.stream, asked.offset,
                           asked.limit > 0 ? asked.limit : kMaxPageBytes, asked.wait, report.Io()));
  // Control characters take more room in JSON than they have bytes.
  const std::size_t fits = PrefixWithin(page.text, kResultBudget).size();
  if (fits < page.text.size()) {
    page.text.resize(fits);
    page.next_offset = page.offset + fits;
    page.complete = false;
  }
  ToolResult result = ValueResult(ToJson(page));
  std::string text = fmt::format(
      "bytes {} to {} of {} of {}, command {} ({}){}\n", page.offset, page.next_offset,
      page.total_bytes, Name(page.stream), asked.sequence,
      page.command.outcome
          ? fmt::format("{}, exit_code={}", Name(*page.command.outcome), page.command.exit_code)
          : "running",
      page.complete ? "; this is the end"
                    : fmt::format("; go on with offset={}", page.next_offset));
  result.content.push_back(mcp::TextContent(text + page.text));
  return result;
}

}  // namespace

Result<Json> JournalForm(Engine& engine, const std::string& task_id, std::int64_t first,
                         std::int64_t limit) {
  PYRO_ASSIGN_OR_RETURN(const TaskInfo task, engine.StatusTask(task_id));
  PYRO_ASSIGN_OR_RETURN(const TaskLogs logs,
                        engine.LogsTask(task.task_id, first, first > 0 ? limit : -limit));
  const std::size_t count = std::max<std::size_t>(logs.entries.size(), 1);
  const std::size_t each = std::min(kResultBudget, kListBudget / count - kEntryFacts);
  Json entries = Json::array();
  for (const TaskLogEntry& entry : logs.entries) {
    entries.push_back(EntryForm(task.task_id, entry, each));
  }
  return Json{{"task_id", task.task_id},
              {"total", task.command_count},
              {"count", entries.size()},
              {"entries", std::move(entries)}};
}

const api::Struct& LogsArgumentRows() {
  static const api::Struct kRows =
      api::Describe<LogsArguments>("LogsArguments", "A part of a task's journal.", kLogsArguments);
  return kRows;
}

Answer ReadLogs(const Host& host, CallContext& call, const Json& arguments) {
  LogsArguments asked;
  PYRO_RETURN_IF_ERROR(ReadArguments(LogsArgumentRows(), arguments, &asked));
  PYRO_RETURN_IF_ERROR(CheckCombination(arguments, asked.limit));
  if (asked.sequence == 0) return Journal(host.engine, asked);
  // At most as long as a call may take: a longer wait is the next call's.
  asked.wait = std::min(asked.wait, host.answer_after);
  CallReport report(call, asked.wait.count() / 1000,
                    fmt::format("waiting for command {}", asked.sequence));
  const bool page = arguments.contains("stream") || arguments.contains("offset");
  return page ? OnePage(host.engine, asked, report) : OneCommand(host.engine, asked, report);
}

}  // namespace pyro::mcp_server
