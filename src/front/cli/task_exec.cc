// pyro task exec

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/closing.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"
#include "front/cli/usage.h"

namespace pyro::cli {
namespace {

struct ExecFlags : WordsFlags<ExecTaskRequest> {
  bool background = false;
  bool give_stdin = false;        // To a command in the background.
  StartTaskCommandRequest start;  // What a command in the background has beside the request.
};

// Bytes that wait in our stdin, a file or a pipe, for a command that gets none.
void SayWhatIsNotRead(const ExecFlags& flags, const std::string& task_id) {
  int waiting = 0;
  struct stat info {};
  if (flags.quiet || ::fstat(STDIN_FILENO, &info) != 0) return;
  const bool file = S_ISREG(info.st_mode) && ::lseek(STDIN_FILENO, 0, SEEK_CUR) < info.st_size;
  const bool pipe = (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode)) &&
                    ::ioctl(STDIN_FILENO, FIONREAD, &waiting) == 0 && waiting > 0;
  if (!file && !pipe) return;
  Talk(fmt::format(
      "pyro: the command does not get what stdin has\n"
      "hint: --stdin gives it; with --keep-stdin, 'pyro task stdin --sequence N {}' does\n",
      ShortId(task_id)));
}

// Writes our stdin to a command that was started with an open one.
int GiveStdin(Engine& engine, const Context& context, const ExecFlags& flags, Call& call,
              const StartedTaskCommand& started) {
  call.PassStdin();
  const auto written = call.Run([&](const CallIo& io) {
    return engine.WriteTaskStdin(
        started.task_id, started.sequence,
        flags.start.keep_stdin ? Engine::CloseStdin::kNo : Engine::CloseStdin::kYes, 0, io);
  });
  return written ? kExitOk : Fail(written.error(), context);
}

// Prints the sequence, once the command is recorded; the command goes on without this process.
int ExecInBackground(Engine& engine, const Context& context, const ExecFlags& flags) {
  if (!flags.request.journal) {
    return Fail(
        MakeError(ErrorCode::kInvalidArgument,
                  "--background and --no-journal exclude each other: the journal alone has the "
                  "output of a command in the background",
                  "give one of the two"),
        context);
  }
  Call call(StyleOf(context, flags.quiet), flags.request.task_id);
  const auto command = CommandOf(context, flags);
  if (!command) return Fail(command.error(), context);
  // What is to be written comes after the start, so that any size goes, and no end follows a part.
  const bool open = flags.give_stdin || flags.start.keep_stdin;
  const auto started = call.Run([&](const CallIo& io) {
    return engine.StartTaskCommand(
        flags.request.task_id, *command, flags.request.timeout_seconds.value_or(0), io,
        open ? Engine::StdinEnd::kStaysOpen : Engine::StdinEnd::kAfterInput);
  });
  if (!started) return Fail(started.error(), context);
  if (context.json) {
    PrintJson(ToJson(*started));
  } else {
    Print(fmt::format("{}\n", started->sequence));
    if (!flags.quiet) {
      Talk(fmt::format("[task-exec] state={} sequence={} task_id={}\n", Name(started->state),
                       started->sequence, ShortId(started->task_id)));
    }
  }
  const int printed =
      CheckPrinted(context, fmt::format("the command runs: its sequence in task {} is {}",
                                        started->task_id, started->sequence));
  if (printed != kExitOk) return printed;
  if (flags.give_stdin) return GiveStdin(engine, context, flags, call, *started);
  SayWhatIsNotRead(flags, started->task_id);
  return kExitOk;
}

void SayHowExecEnded(const TaskExecResult& result, const ExecFlags& flags) {
  ExplainOutcome(result, flags.quiet);
  if (flags.quiet) return;
  std::string line =
      fmt::format("[task-exec] exit_code={} duration_ms={} sequence={} task_id={}",
                  result.exit_code, result.duration_ms, result.sequence, ShortId(result.task_id));
  if (result.cwd != "/workspace") line += fmt::format(" cwd={}", Printable(result.cwd));
  if (result.execution_mode != kUsualMode) {
    line += fmt::format(" execution_mode={}", Name(result.execution_mode));
  }
  Talk(line + "\n");
}

int Exec(Engine& engine, const Context& context, const ExecFlags& flags) {
  if (flags.background) return ExecInBackground(engine, context, flags);
  Call call(StyleOf(context, flags.quiet), flags.request.task_id);
  const auto result = call.RunWords(context, flags, [&](const Command& command, const CallIo& io) {
    return engine.ExecTask(flags.request.task_id, command, flags.request.timeout_seconds, io,
                           flags.request.journal ? Engine::Keep::kAll : Engine::Keep::kCount);
  });
  if (!result) return Fail(result.error(), context);
  if (context.json) {
    PrintJson(ToJson(*result));
  } else {
    SayHowExecEnded(*result, flags);
  }
  return result->exit_code;
}

}  // namespace

void AddTaskExec(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<ExecFlags>();
  CLI::App* exec = AddOperation(task, context, "task exec",
                                {.example = "pyro task exec $id -- sh -c 'make && make test'",
                                 .note = "Exit codes are those of 'pyro run'."},
                                flags, Exec);
  exec->add_flag("--background", flags->background,
                 "Print the command's sequence and leave it running, its stdin at its end");
  exec->add_flag("--stdin", flags->give_stdin,
                 "With --background: give the command what this stdin has, and wait until it takes "
                 "it");
  AddField(exec, flags->start, "keep_stdin");
  exec->parse_complete_callback([flags] {
    if (flags->background || !(flags->give_stdin || flags->start.keep_stdin)) return;
    throw UsageError("--stdin and --keep-stdin are for --background",
                     "without it every command gets this stdin");
  });
  exec->add_flag("-q,--quiet", flags->quiet, "Print no progress and no closing line");
}

}  // namespace pyro::cli
