// pyro task create | exec | status | logs | list | stop | delete | export

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/task_table.h"
#include "pyro/json_forms.h"

namespace pyro::cli {
namespace {

constexpr std::int64_t kShownEntries = 100;  // By `task logs`, for people.

struct TaskFlags {
  TaskOptions create;
  std::string task_id;
  std::int64_t timeout_seconds = kDefaultTimeoutSeconds;
  std::int64_t sequence = 0;
  std::int64_t tail = 0;
  std::string stream = "stdout";
  std::uint64_t offset = 0;
  std::int64_t limit = 0;  // 0: none was given.
  double wait_seconds = 0;
  bool paged = false;  // One of the options that read a page was given.
  bool background = false;
  std::string path;
  std::string destination;
  bool follow = false;
  bool all = false;
  bool quiet = false;
};

using Flags = std::shared_ptr<TaskFlags>;

int Fail(const Error& error, const Context& context) {
  if (error.code == ErrorCode::kCancelled && CaughtSignal() != 0) {
    if (context.json) PrintJson(ToJson(error));
    return 128 + CaughtSignal();
  }
  if (error.sys_errno == EPIPE) return 128 + SIGPIPE;
  ReportError(error, context.json);
  return context.failure_code;
}

std::string HowItEnded(const TaskCommand& command) {
  if (command.outcome.empty()) return "running";
  if (command.outcome == "interrupted") return "interrupted";
  return fmt::format("exit_code={}", command.exit_code);
}

// A command on one line, fit for a terminal.
std::string OneLine(const TaskCommand& command) {
  return Printable(ShellJoin(command.command), 200);
}

void PrintTask(const TaskInfo& task) {
  Print(fmt::format("Task: {}\nEnvironment: {}\nState: {}\nWorkspace: /workspace\n", task.task_id,
                    task.environment, task.state));
  Print(fmt::format("Execution mode: {}\nResources: {} vCPU / {} MiB\nCommand count: {}\n",
                    task.execution_mode, task.vcpu_count, task.mem_mib, task.command_count));
  if (task.last_command) {
    Print(fmt::format("Last command: {} ({})\n", OneLine(*task.last_command),
                      HowItEnded(*task.last_command)));
  }
  Print(fmt::format("Lease: until {}\nDisk: {} of {} MiB\n", task.expires_at,
                    FormatBytes(task.disk_bytes), task.disk_mib));
  if (!task.last_error.empty())
    Print(fmt::format("Last error: {}\n", Printable(task.last_error, 500)));
}

int Create(Engine& engine, const Context& context, const TaskFlags& flags) {
  Progress progress(
      flags.quiet || context.json ? Progress::Style::kQuiet : Progress::Style::kTransient,
      flags.create.environment);
  CallIo io;
  progress.Connect(io);
  io.cancel_fd = CatchSignals();
  const auto task = engine.CreateTask(flags.create, io);
  progress.Clear();
  if (!task) return Fail(task.error(), context);
  if (context.json) {
    PrintJson(ToJson(*task));
  } else if (flags.quiet) {
    Print(task->task_id + "\n");
  } else {
    PrintTask(*task);
  }
  return kExitOk;
}

// Prints the sequence, once the command is recorded; it goes on without us.
int ExecInBackground(Engine& engine, const Context& context, const TaskFlags& flags) {
  Progress progress(
      flags.quiet || context.json ? Progress::Style::kQuiet : Progress::Style::kTransient,
      flags.task_id);
  CallIo io;
  progress.Connect(io);
  io.cancel_fd = CatchSignals();
  Command command;
  command.argv = *context.command;
  const auto started = engine.StartTaskCommand(flags.task_id, command, flags.timeout_seconds, io);
  progress.Clear();
  if (!started) return Fail(started.error(), context);
  if (context.json) {
    PrintJson(ToJson(*started));
    return kExitOk;
  }
  Print(fmt::format("{}\n", started->sequence));
  if (!flags.quiet) {
    Talk(fmt::format("[task-exec] task_id={} sequence={} cwd={} execution_mode={} state={}\n",
                     started->task_id, started->sequence, started->cwd, started->execution_mode,
                     started->state));
  }
  return kExitOk;
}

int Exec(Engine& engine, const Context& context, const TaskFlags& flags) {
  if (flags.background) return ExecInBackground(engine, context, flags);
  Progress progress(
      flags.quiet || context.json ? Progress::Style::kQuiet : Progress::Style::kTransient,
      flags.task_id);
  ClearingSink sink(progress);
  CallIo io;
  progress.Connect(io);
  io.stdin_fd = STDIN_FILENO;
  io.cancel_fd = CatchSignals();
  if (!context.json) io.sink = &sink;
  Command command;
  command.argv = *context.command;
  const auto result = engine.ExecTask(flags.task_id, command, flags.timeout_seconds, io);
  progress.Clear();
  if (!result) return Fail(result.error(), context);
  if (context.json) {
    PrintJson(ToJson(*result));
    return result->exit_code;
  }
  ExplainOutcome(*result, flags.timeout_seconds);
  if (!flags.quiet) {
    Talk(fmt::format(
        "[task-exec] task_id={} sequence={} cwd={} execution_mode={} exit_code={} duration_ms={}\n",
        result->task_id, result->sequence, result->cwd, result->execution_mode, result->exit_code,
        result->duration_ms));
  }
  return result->exit_code;
}

int Show(const Result<TaskInfo>& task, const Context& context, bool quiet = false) {
  if (!task) return Fail(task.error(), context);
  if (context.json) {
    PrintJson(ToJson(*task));
  } else if (!quiet) {
    PrintTask(*task);
  }
  return kExitOk;
}

// The whole task, or one command of it.
int Stop(Engine& engine, const Context& context, const TaskFlags& flags) {
  if (flags.sequence == 0) return Show(engine.StopTask(flags.task_id), context, flags.quiet);
  const auto command = engine.CancelTaskCommand(flags.task_id, flags.sequence);
  if (!command) return Fail(command.error(), context);
  if (context.json) {
    PrintJson(ToJson(*command));
  } else if (!flags.quiet) {
    Print(fmt::format("Command {}: {} (exit_code={})\n", command->sequence, command->outcome,
                      command->exit_code));
  }
  return kExitOk;
}

int List(Engine& engine, const Context& context, const TaskFlags& flags) {
  const auto tasks = engine.ListTasks();
  if (!tasks) return Fail(tasks.error(), context);
  if (context.json) {
    PrintJson(ToJson(*tasks));
    return kExitOk;
  }
  if (flags.quiet) {
    for (const TaskInfo& task : *tasks) Print(task.task_id + "\n");
    return kExitOk;
  }
  if (tasks->empty()) {
    Talk("no tasks; 'pyro task create debian:12' makes one\n");
    return kExitOk;
  }
  PrintTaskTable(*tasks);
  return kExitOk;
}

// Streams one entry to our own stdout and stderr.
int LogsOfOne(Engine& engine, const Context& context, const TaskFlags& flags) {
  TerminalSink sink;
  CallIo io;
  io.sink = &sink;
  io.cancel_fd = CatchSignals();
  const auto command = engine.ReadTaskCommand(
      flags.task_id, flags.sequence, flags.follow ? Engine::Follow::kYes : Engine::Follow::kNo, io);
  if (!command) return Fail(command.error(), context);
  return kExitOk;
}

// A page of one stream, as it is; with --json with where it stands.
int LogsPage(Engine& engine, const Context& context, const TaskFlags& flags) {
  CallIo io;
  io.cancel_fd = CatchSignals();
  const auto page = engine.ReadTaskOutput(
      flags.task_id, flags.sequence,
      flags.stream == "stderr" ? OutputStream::kStderr : OutputStream::kStdout, flags.offset,
      flags.limit == 0 ? static_cast<std::int64_t>(kMaxResultBytes) : flags.limit,
      std::chrono::milliseconds(std::llround(flags.wait_seconds * 1000)), io);
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

int Logs(Engine& engine, const Context& context, const TaskFlags& flags) {
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

int Delete(Engine& engine, const Context& context, const TaskFlags& flags) {
  const auto id = engine.DeleteTask(flags.task_id);
  if (!id) return Fail(id.error(), context);
  if (context.json) {
    PrintJson({{"task_id", *id}, {"deleted", true}});
  } else if (!flags.quiet) {
    Print(fmt::format("Deleted task: {}\n", *id));
  }
  return kExitOk;
}

int Export(Engine& engine, const Context& context, const TaskFlags& flags) {
  Progress progress(
      context.json || flags.quiet ? Progress::Style::kQuiet : Progress::Style::kTransient,
      flags.task_id);
  CallIo io;
  progress.Connect(io);
  io.cancel_fd = CatchSignals();
  const auto exported = engine.ExportTask(flags.task_id, flags.path, flags.destination, io);
  progress.Clear();
  if (!exported) return Fail(exported.error(), context);
  if (context.json) {
    PrintJson(ToJson(*exported));
  } else if (!flags.quiet) {
    Print(fmt::format("{} ({})\n", exported->destination, FormatBytes(exported->bytes)));
  }
  return kExitOk;
}

// One subcommand: its flags are added by the caller, its action runs with the engine.
class Adder {
 public:
  Adder(CLI::App& task, Context& context) : task_(task), context_(context) {}

  CLI::App* Add(const char* name, const char* description, const Flags& flags,
                int (*action)(Engine&, const Context&, const TaskFlags&)) {
    CLI::App* command = task_.add_subcommand(name, description);
    command->add_flag("--json", context_.json, "Print JSON");
    Context& context = context_;
    command->callback([&context, flags, action] {
      context.action = [&context, flags, action](Engine& engine) {
        return action(engine, context, *flags);
      };
    });
    return command;
  }

 private:
  CLI::App& task_;
  Context& context_;
};

void AddId(CLI::App* command, const Flags& flags) {
  command
      ->add_option("task_id", flags->task_id,
                   "The task's id, or its first 6 characters after task_")
      ->required()
      ->type_name("TASK_ID");
}

void AddCreate(Adder& adder, const Flags& flags) {
  CLI::App* create = adder.Add(
      "create", "Start a task: a microVM whose /workspace and journal stay", flags, Create);
  TaskOptions& options = flags->create;
  create->add_option("environment", options.environment, "Such as debian:12")
      ->required()
      ->type_name("ENVIRONMENT");
  create->add_option("--vcpu-count", options.vcpu_count, "CPUs of the guest, 1 to 64")
      ->capture_default_str();
  create->add_option("--mem-mib", options.mem_mib, "Memory of the guest in MiB, from 128")
      ->capture_default_str();
  create->add_option("--disk-mib", options.disk_mib, "Bound of the task's disk in MiB, from 256")
      ->capture_default_str();
  create
      ->add_option("--ttl-seconds", options.ttl_seconds,
                   "Stop the guest so long after its last use; the task stays")
      ->capture_default_str();
  create
      ->add_option("--source-path", options.source_path,
                   "Fill /workspace from a directory, .tar, .tar.gz or .tgz")
      ->type_name("PATH");
  create->add_flag("--network", options.network, "Let the guest reach the outside");
  create->add_flag("--allow-host-compat", options.allow_host_compat,
                   "If no guest can be had, run on this host in a bubblewrap jail");
  create->add_flag("-q,--quiet", flags->quiet, "Print the id only");
  create->footer(
      "Example:\n  id=$(pyro task create -q debian:12)\n  pyro task exec $id -- git init");
}

void AddExec(Adder& adder, Context& context, const Flags& flags) {
  CLI::App* exec = adder.Add("exec", "Run a command in a task's /workspace", flags, Exec);
  AddId(exec, flags);
  exec->add_option("--timeout-seconds", flags->timeout_seconds, "Kill the command after so long")
      ->capture_default_str();
  exec->add_flag("--background", flags->background,
                 "Print the command's sequence and leave it running, its stdin at its end");
  exec->add_flag("-q,--quiet", flags->quiet, "No progress and no closing line");
  exec->footer(
      "Exit codes are those of 'pyro run'.\n\nExample:\n  pyro task exec $id -- sh -c 'make && "
      "make test'");
  exec->callback([&context, flags] {
    context.failure_code = kExitPyroFailed;
    RequireCommand(context, "pyro task exec " + flags->task_id);
    context.action = [&context, flags](Engine& engine) { return Exec(engine, context, *flags); };
  });
}

void AddLogs(Adder& adder, const Flags& flags) {
  CLI::App* logs =
      adder.Add("logs", "Show the journal: every command with its output", flags, Logs);
  AddId(logs, flags);
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

void AddStop(Adder& adder, const Flags& flags) {
  CLI::App* stop = adder.Add(
      "stop", "Power a task's guest off, or kill one command; the next exec starts it again", flags,
      Stop);
  AddId(stop, flags);
  stop->add_option("--sequence", flags->sequence,
                   "Kill this command with all it started; the guest stays")
      ->check(CLI::PositiveNumber);
  stop->add_flag("-q,--quiet", flags->quiet, "Print nothing");
  stop->footer("Example:\n  pyro task stop $id");
}

void AddExport(Adder& adder, const Flags& flags) {
  CLI::App* exported =
      adder.Add("export", "Copy a path of the workspace to this host", flags, Export);
  AddId(exported, flags);
  exported->add_option("path", flags->path, "In the guest; relative ones from /workspace")
      ->required()
      ->type_name("PATH");
  exported
      ->add_option("destination", flags->destination,
                   "On this host; a name ending in .tar makes a tar")
      ->required()
      ->type_name("DEST");
  exported->add_flag("-q,--quiet", flags->quiet, "Neither progress nor a closing line");
  exported->footer(
      "The destination must not be there yet, or be an empty directory.\n\n"
      "Example:\n  pyro task export $id . results");
}

}  // namespace

void AddTask(CLI::App& app, Context& context) {
  CLI::App* task = app.add_subcommand("task", "Workspaces that stay until they are deleted");
  task->require_subcommand(1);
  task->footer(
      "A TASK_ID may be shortened to 'task_' and 6 characters.\n\n"
      "Example:\n  pyro task create debian:12\n\n'pyro task COMMAND --help' tells more.");
  const Flags flags = std::make_shared<TaskFlags>();
  Adder adder(*task, context);
  AddCreate(adder, flags);
  AddExec(adder, context, flags);
  CLI::App* status = adder.Add("status", "Show one task", flags,
                               [](Engine& engine, const Context& c, const TaskFlags& f) {
                                 return Show(engine.StatusTask(f.task_id), c);
                               });
  AddId(status, flags);
  status->footer("Example:\n  pyro task status $id");
  AddLogs(adder, flags);
  CLI::App* list = adder.Add("list", "Show all tasks", flags, List);
  list->add_flag("-q,--quiet", flags->quiet, "Print ids only");
  list->footer("Example:\n  pyro task list");
  AddStop(adder, flags);
  CLI::App* deleted =
      adder.Add("delete", "Delete a task with its workspace and journal", flags, Delete);
  AddId(deleted, flags);
  deleted->add_flag("-q,--quiet", flags->quiet, "Print nothing");
  deleted->footer("Example:\n  pyro task delete $id");
  AddExport(adder, flags);
}

}  // namespace pyro::cli
