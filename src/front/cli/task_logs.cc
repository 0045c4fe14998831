// pyro task logs

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/text.h"
#include "base/try.h"
#include "front/cli/call.h"
#include "front/cli/closing.h"
#include "front/cli/harmless.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"
#include "front/cli/usage.h"
#include "front/cli/values.h"

namespace pyro::cli {
namespace {

constexpr std::int64_t kShownEntries = 100;  // For people.

struct LogsFlags {
  ReadTaskOutputRequest page;  // The sequence 0: none was given.
  std::int64_t tail = 0;       // 0: none was given.
  OutputOffsets from;          // Of --follow; stdout's is that of the page.
  bool paged = false;          // One of the options that read a page was given.
  bool at_offset = false;      // --offset or --stderr-offset was.
  bool bounded = false;        // --limit was.
  bool waits = false;          // --wait-seconds was.
  bool follow = false;
  bool all = false;
  bool raw = false;
};

// What neither the exit code nor the way of its end tells.
Explanation Unsaid(const TaskCommand& command) {
  const Explanation& why = command.explanation;
  return why.beyond == Explanation::Beyond::kNothing ? Explanation{} : why;
}

// The exit code of a call that waited for the command's end.
int Conclude(const TaskCommand& command, const Context& context) {
  if (!context.json) SayExplanation(Unsaid(command));
  if (command.outcome != Outcome::kInterrupted) return command.exit_code;
  if (!context.json) {
    Talk(
        "pyro: the command was interrupted: its guest went away before it ended\n"
        "hint: its output until then is above; run it again with 'pyro task exec'\n");
  }
  return kExitPyroFailed;
}

// The sequence of the newest command.
Result<std::int64_t> Newest(Engine& engine, const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(const TaskCommandPage page, engine.ListTaskCommands(task_id, 1, -1));
  if (page.entries.empty()) {
    return MakeError(ErrorCode::kNotFound, "the task has run no command yet",
                     "run one with 'pyro task exec'");
  }
  return page.entries.back().sequence;
}

// Streams one entry to our own stdout and stderr.
int StreamOne(Engine& engine, const Context& context, const LogsFlags& flags,
              std::int64_t sequence) {
  Call call(Progress::Style::kQuiet, flags.page.task_id);
  HarmlessSink sink(flags.raw);
  call.io().sink = &sink;
  const auto command = call.Run([&](const CallIo& io) {
    return engine.ReadTaskCommand(flags.page.task_id, sequence,
                                  flags.follow ? Engine::Follow::kYes : Engine::Follow::kNo, io,
                                  {.stdout_offset = static_cast<std::int64_t>(flags.page.offset),
                                   .stderr_offset = flags.from.stderr_offset});
  });
  sink.Finish();
  if (!command) return Fail(command.error(), context);
  if (flags.follow) return Conclude(*command, context);
  SayExplanation(Unsaid(*command));
  return kExitOk;
}

// Waits for the end of one command, and prints its document.
int AwaitOne(Engine& engine, const Context& context, const LogsFlags& flags,
             std::int64_t sequence) {
  Call call(Progress::Style::kQuiet, flags.page.task_id);
  while (true) {
    const auto command = call.Run([&](const CallIo& io) {
      return engine.GetTaskCommand(flags.page.task_id, sequence, std::chrono::hours(1), io);
    });
    if (!command) return Fail(command.error(), context);
    if (!command->outcome) continue;
    const auto logs = engine.LogsTask(flags.page.task_id, sequence, 1);
    if (!logs) return Fail(logs.error(), context);
    PrintJson(ToJson(*logs));
    return Conclude(*command, context);
  }
}

int Follow(Engine& engine, const Context& context, const LogsFlags& flags) {
  std::int64_t sequence = flags.page.sequence;
  if (sequence == 0) {
    const auto newest = Newest(engine, flags.page.task_id);
    if (!newest) return Fail(newest.error(), context);
    sequence = *newest;
  }
  return context.json ? AwaitOne(engine, context, flags, sequence)
                      : StreamOne(engine, context, flags, sequence);
}

// The report of a command that still runs after the wait.
int StillRuns(const TaskOutput& page, const Context& context) {
  if (!context.json) {
    Talk(fmt::format("pyro: command {} still runs\nhint: read on with --offset {}\n",
                     page.command.sequence, page.next_offset));
  }
  return kExitTimedOut;
}

// Prints a page of one stream; --json adds its position. With --wait-seconds the text goes on to
// the end of the command or of the time, unless --limit bounds it.
int Page(Engine& engine, const Context& context, const LogsFlags& flags) {
  using std::chrono::milliseconds;
  using Clock = std::chrono::steady_clock;
  Call call(Progress::Style::kQuiet, flags.page.task_id);
  const auto end = Clock::now() + flags.page.wait;
  const int fd = STDOUT_FILENO;
  const Escapes escapes = EscapesOn(fd, flags.raw);
  HarmlessText text;
  std::uint64_t offset = flags.page.offset;
  while (true) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
    const auto page = call.Run([&](const CallIo& io) {
      return engine.ReadTaskOutput(flags.page.task_id, flags.page.sequence, flags.page.stream,
                                   offset, flags.page.limit, std::max(left, milliseconds(0)), io);
    });
    if (!page) return Fail(page.error(), context);
    if (context.json) {
      PrintJson(ToJson(*page));
    } else {
      Print(escapes == Escapes::kShown ? text.Add(page->text) : page->text);
    }
    offset = page->next_offset;
    const bool goes_on =
        flags.waits && !context.json && !flags.bounded && !page->complete && Clock::now() < end;
    if (goes_on) continue;
    Print(text.Rest());
    if (!flags.waits) return kExitOk;
    return page->command.outcome ? Conclude(page->command, context) : StillRuns(*page, context);
  }
}

// Puts a mark before each line, so that no output looks like a heading.
void PrintBody(std::string_view name, const std::string& text, Escapes escapes) {
  if (text.empty()) return;
  std::string out = fmt::format("--- {}\n", name);
  const std::string shown = escapes == Escapes::kShown ? Harmless(text) : text;
  std::string_view rest = shown;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    out += "| ";
    out += rest.substr(0, end);
    out += '\n';
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  Print(out);
}

void PrintEntry(const TaskLogEntry& entry, Escapes escapes) {
  std::string took = HowItEnded(entry);
  if (entry.outcome) took += fmt::format(", {} ms", entry.duration_ms);
  const std::string heading =
      fmt::format("=== {} {} $ {} ({})", entry.sequence, entry.started_at, OneLine(entry), took);
  Print(Paint(STDOUT_FILENO, Colour::kBold, heading) + "\n");
  if (const Explanation why = Unsaid(entry); !why.message.empty()) {
    Print(fmt::format("note: {}\n", why.message));
  }
  PrintBody("stdout", entry.stdout_text, escapes);
  PrintBody("stderr", entry.stderr_text, escapes);
  Print(DeniedLines(entry.denied));
}

// What happened to the task between the commands.
void PrintBetween(const TaskLogs& logs, std::int64_t from, std::int64_t before) {
  for (const TaskReset& reset : logs.resets) {
    if (reset.sequence < from || reset.sequence >= before) continue;
    const std::string heading = fmt::format("=== {} the disk was reset to snapshot {}",
                                            reset.reset_at, Printable(reset.snapshot));
    Print(Paint(STDOUT_FILENO, Colour::kBold, heading) + "\n");
  }
  for (const TaskNetworkChange& change : logs.network_changes) {
    if (change.sequence < from || change.sequence >= before) continue;
    const std::string heading = fmt::format("=== {} network: {}", change.changed_at, change.rule);
    Print(Paint(STDOUT_FILENO, Colour::kBold, heading) + "\n");
  }
}

int Logs(Engine& engine, const Context& context, const LogsFlags& flags) {
  if (flags.follow) return Follow(engine, context, flags);
  if (flags.paged || flags.at_offset) return Page(engine, context, flags);
  if (flags.page.sequence > 0 && !context.json) {
    return StreamOne(engine, context, flags, flags.page.sequence);
  }
  // All of ten thousand entries are for programs; a person asks for them by name.
  std::int64_t tail = flags.tail;
  if (tail == 0 && !context.json && !flags.all) tail = kShownEntries;
  const auto logs = flags.page.sequence > 0
                        ? engine.LogsTask(flags.page.task_id, flags.page.sequence, 1)
                        : engine.LogsTask(flags.page.task_id, 1, -tail);
  if (!logs) return Fail(logs.error(), context);
  if (context.json) {
    PrintJson(ToJson(*logs));
    return kExitOk;
  }
  const Escapes escapes = EscapesOn(STDOUT_FILENO, flags.raw);
  std::int64_t shown = -1;
  for (const TaskLogEntry& entry : logs->entries) {
    PrintBetween(*logs, shown, entry.sequence);
    PrintEntry(entry, escapes);
    shown = entry.sequence;
  }
  PrintBetween(*logs, shown, INT64_MAX);
  if (flags.tail == 0 && !logs->entries.empty() && logs->entries.front().sequence > 1 &&
      flags.page.sequence == 0) {
    Talk(fmt::format("pyro: {} earlier entries are not shown; --all shows them\n",
                     logs->entries.front().sequence - 1));
  }
  return kExitOk;
}

// Refuses options that exclude each other.
void CheckCombination(const LogsFlags& flags) {
  if (flags.all && flags.tail > 0) {
    throw UsageError("--all and --tail exclude each other", "give one of the two");
  }
  if (flags.page.sequence > 0 && (flags.all || flags.tail > 0)) {
    throw UsageError("--sequence is one command, --all and --tail are about many",
                     "give --sequence alone, or leave it out");
  }
  if (flags.paged && (flags.follow || flags.page.sequence == 0)) {
    throw UsageError("--stream, --offset, --limit and --wait-seconds read a page of one command",
                     "give --sequence N, and no --follow");
  }
  if (flags.at_offset && flags.page.sequence == 0) {
    throw UsageError("an offset is one of a command's output", "give --sequence N");
  }
  if (flags.from.stderr_offset > 0 && !flags.follow) {
    throw UsageError("--stderr-offset is for --follow", "a page has --stream stderr --offset N");
  }
}

}  // namespace

void AddTaskLogs(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<LogsFlags>();
  CLI::App* logs = AddNamed(
      task, *api::FindOperation("task logs"),
      {.example = "pyro task logs --tail 3 $id\n  pyro task logs -f $id",
       .note = "Without --sequence at most 1 MiB of each stream is shown, its beginning and end.\n"
               "On a terminal control characters appear as escapes such as \\x1b. With --json,\n"
               "--follow prints the entry at its end, and --wait-seconds a page with new output."});
  AddJson(logs, context);
  AddField(logs, flags->page, "task_id");
  AddField(logs, flags->page, "sequence");
  AddNumber(logs, "--tail", flags->tail, {.least = 1}, "Show the last N commands only");
  logs->add_flag("--all", flags->all,
                 fmt::format("Show every command; otherwise the last {}", kShownEntries));
  logs->add_flag("-f,--follow", flags->follow,
                 "Go on until the command ends, and exit with its code; the newest command, unless "
                 "--sequence names one");
  logs->add_flag("--raw", flags->raw, "Let escape sequences in the output act on a terminal");
  const auto paged = [flags](const std::string&) { flags->paged = true; };
  AddField(logs, flags->page, "stream")->each(paged);
  AddField(logs, flags->page, "offset")->each([flags](const std::string&) {
    flags->at_offset = true;
  });
  AddField(logs, flags->from, "stderr_offset")->each([flags](const std::string&) {
    flags->at_offset = true;
  });
  AddField(logs, flags->page, "limit")->each([flags](const std::string&) {
    flags->paged = flags->bounded = true;
  });
  AddField(logs, flags->page, "wait_seconds")->each([flags](const std::string&) {
    flags->paged = flags->waits = true;
  });
  logs->callback([&context, flags] {
    CheckCombination(*flags);
    // With these the exit code is the command's own.
    if (flags->follow || flags->waits) context.failure_code = kExitPyroFailed;
    context.action = [&context, flags](Engine& engine) { return Logs(engine, context, *flags); };
  });
}

}  // namespace pyro::cli
