// pyro task logs

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cli/call.h"
#include "cli/output.h"
#include "cli/parser.h"
#include "cli/task.h"
#include "pyro/json_forms.h"

namespace pyro::cli {
namespace {

constexpr std::int64_t kShownEntries = 100;  // For people.

struct LogsFlags {
  std::string task_id;
  std::int64_t sequence = 0;  // 0: none was given; the same for tail and limit.
  std::int64_t tail = 0;
  std::string stream = "stdout";
  std::uint64_t offset = 0;
  std::int64_t limit = 0;
  double wait_seconds = 0;
  bool paged = false;  // One of the options that read a page was given.
  bool follow = false;
  bool all = false;
};

// Streams one entry to our own stdout and stderr.
int LogsOfOne(Engine& engine, const Context& context, const LogsFlags& flags) {
  Call call(Progress::Style::kQuiet, flags.task_id);
  call.PassOutput();
  const auto command = call.Run([&](const CallIo& io) {
    return engine.ReadTaskCommand(flags.task_id, flags.sequence,
                                  flags.follow ? Engine::Follow::kYes : Engine::Follow::kNo, io);
  });
  if (!command) return Fail(command.error(), context);
  return kExitOk;
}

// A page of one stream, unchanged; with --json also its offsets.
int LogsPage(Engine& engine, const Context& context, const LogsFlags& flags) {
  Call call(Progress::Style::kQuiet, flags.task_id);
  const auto page = call.Run([&](const CallIo& io) {
    return engine.ReadTaskOutput(
        flags.task_id, flags.sequence,
        flags.stream == "stderr" ? OutputStream::kStderr : OutputStream::kStdout, flags.offset,
        flags.limit == 0 ? static_cast<std::int64_t>(kMaxResultBytes) : flags.limit,
        std::chrono::milliseconds(std::llround(flags.wait_seconds * 1000)), io);
  });
  if (!page) return Fail(page.error(), context);
  if (context.json) {
    PrintJson(ToJson(*page));
  } else {
    Print(page->text);
  }
  return kExitOk;
}

void PrintText(std::string_view name, const std::string& text) {
  if (text.empty()) return;
  Print(fmt::format("--- {}\n", name));
  Print(text);
  if (text.back() != '\n') Print("\n");
}

int Logs(Engine& engine, const Context& context, const LogsFlags& flags) {
  if (flags.paged) {
    if (flags.sequence > 0 && !flags.follow) return LogsPage(engine, context, flags);
    return Fail(
        MakeError(ErrorCode::kInvalidArgument,
                  "--stream, --offset, --limit and --wait-seconds read a page of one command",
                  "give --sequence, and no --follow"),
        context);
  }
  if (flags.sequence > 0 && !context.json) return LogsOfOne(engine, context, flags);
  if (flags.follow) {
    return Fail(MakeError(ErrorCode::kInvalidArgument, "--follow needs --sequence, and no --json"),
                context);
  }
  // All of ten thousand entries are for programs; a person asks for them by name.
  std::int64_t tail = flags.tail;
  if (tail == 0 && !context.json && !flags.all) tail = kShownEntries;
  const auto logs = flags.sequence > 0 ? engine.LogsTask(flags.task_id, flags.sequence, 1)
                                       : engine.LogsTask(flags.task_id, 1, -tail);
  if (!logs) return Fail(logs.error(), context);
  if (context.json) {
    PrintJson(ToJson(*logs));
    return kExitOk;
  }
  for (const TaskLogEntry& entry : logs->entries) {
    Print(Paint(STDOUT_FILENO, Colour::kBold,
                fmt::format("=== {} {} $ {} ({}, {} ms)", entry.sequence, entry.started_at,
                            OneLine(entry), HowItEnded(entry), entry.duration_ms)) +
          "\n");
    PrintText("stdout", entry.stdout_text);
    PrintText("stderr", entry.stderr_text);
  }
  if (flags.tail == 0 && !logs->entries.empty() && logs->entries.front().sequence > 1 &&
      flags.sequence == 0) {
    Talk(fmt::format("pyro: {} earlier entries are not shown; --all shows them\n",
                     logs->entries.front().sequence - 1));
  }
  return kExitOk;
}

}  // namespace

void AddTaskLogs(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<LogsFlags>();
  CLI::App* logs = AddCommand(task, context, "logs",
                              "Show the journal: every command with its output", flags, Logs);
  AddJson(logs, context);
  AddTaskId(logs, flags->task_id);
  logs->add_option("--sequence", flags->sequence,
                   "One entry; its streams go to stdout and stderr as they are")
      ->check(CLI::PositiveNumber);
  CLI::Option* const tail = logs->add_option("--tail", flags->tail, "The last so many entries only")
                                ->check(CLI::PositiveNumber);
  logs->add_flag("--all", flags->all,
                 fmt::format("Every entry, as with --json; otherwise the last {}", kShownEntries))
      ->excludes(tail);
  logs->add_flag("--follow", flags->follow, "With --sequence: go on until the command has ended");
  const auto page = [flags](const std::string&) { flags->paged = true; };
  logs->add_option("--stream", flags->stream, "With --sequence: a page of stdout or stderr alone")
      ->check(CLI::IsMember({"stdout", "stderr"}))
      ->each(page);
  logs->add_option("--offset", flags->offset, "Where the page begins, in bytes")->each(page);
  logs->add_option("--limit", flags->limit, "How long it is at most, up to 1048576 bytes")
      ->check(CLI::PositiveNumber)
      ->each(page);
  logs->add_option("--wait-seconds", flags->wait_seconds,
                   "Wait so long for something to read, or for the command's end")
      ->check(CLI::Range(0.0, static_cast<double>(kMaxTimeoutSeconds)))
      ->each(page);
  logs->footer(
      "Without --sequence at most 1 MiB of each stream is shown, its beginning and end.\n\n"
      "Example:\n  pyro task logs --tail 3 $id");
}

}  // namespace pyro::cli
