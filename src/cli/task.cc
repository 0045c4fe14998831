// pyro task create | exec | status | logs | list | stop | delete | export

#include <unistd.h>

#include <cerrno>
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
#include "pyro/json_forms.h"

namespace pyro::cli {
namespace {

struct TaskFlags {
  TaskOptions create;
  std::string task_id;
  std::int64_t timeout_seconds = kDefaultTimeoutSeconds;
  std::int64_t sequence = 0;
  std::int64_t tail = 0;
  std::string stream;
  std::string path;
  std::string destination;
  bool follow = false;
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

int Exec(Engine& engine, const Context& context, const TaskFlags& flags) {
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

int Show(const Result<TaskInfo>& task, const Context& context) {
  if (!task) return Fail(task.error(), context);
  if (context.json) {
    PrintJson(ToJson(*task));
  } else {
    PrintTask(*task);
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
  Print(fmt::format("{:<31}  {:<15}  {:<8}  {:>8}  {:>9}  {}\n", "TASK", "ENVIRONMENT", "STATE",
                    "COMMANDS", "DISK", "LAST USED"));
  for (const TaskInfo& task : *tasks) {
    Print(fmt::format("{:<31}  {:<15}  {:<8}  {:>8}  {:>9}  {}\n", task.task_id, task.environment,
                      task.state, task.command_count, FormatBytes(task.disk_bytes),
                      task.last_used_at));
  }
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

void PrintText(std::string_view name, const std::string& text) {
  if (text.empty()) return;
  Print(fmt::format("--- {}\n", name));
  Print(text);
  if (text.back() != '\n') Print("\n");
}

int Logs(Engine& engine, const Context& context, const TaskFlags& flags) {
  if (flags.sequence > 0 && !context.json) return LogsOfOne(engine, context, flags);
  if (flags.follow) {
    return Fail(MakeError(ErrorCode::kInvalidArgument, "--follow needs --sequence, and no --json"),
                context);
  }
  const auto logs = flags.sequence > 0 ? engine.LogsTask(flags.task_id, flags.sequence, 1)
                                       : engine.LogsTask(flags.task_id, 1, -flags.tail);
  if (!logs) return Fail(logs.error(), context);
  if (context.json) {
    PrintJson(ToJson(*logs));
    return kExitOk;
  }
  for (const TaskLogEntry& entry : logs->entries) {
    Print(fmt::format("=== {} {} $ {} ({}, {} ms)\n", entry.sequence, entry.started_at,
                      OneLine(entry), HowItEnded(entry), entry.duration_ms));
    PrintText("stdout", entry.stdout_text);
    PrintText("stderr", entry.stderr_text);
  }
  return kExitOk;
}

int Delete(Engine& engine, const Context& context, const TaskFlags& flags) {
  const auto id = engine.DeleteTask(flags.task_id);
  if (!id) return Fail(id.error(), context);
  if (context.json) {
    PrintJson({{"task_id", *id}, {"deleted", true}});
  } else {
    Print(fmt::format("Deleted task: {}\n", *id));
  }
  return kExitOk;
}

int Export(Engine& engine, const Context& context, const TaskFlags& flags) {
  Progress progress(context.json ? Progress::Style::kQuiet : Progress::Style::kTransient,
                    flags.task_id);
  CallIo io;
  progress.Connect(io);
  io.cancel_fd = CatchSignals();
  const auto exported = engine.ExportTask(flags.task_id, flags.path, flags.destination, io);
  progress.Clear();
  if (!exported) return Fail(exported.error(), context);
  if (context.json) {
    PrintJson(ToJson(*exported));
  } else {
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
  logs->add_option("--tail", flags->tail, "The last so many entries only")
      ->check(CLI::PositiveNumber);
  logs->add_flag("--follow", flags->follow, "With --sequence: go on until the command has ended");
}

}  // namespace

void AddTask(CLI::App& app, Context& context) {
  CLI::App* task = app.add_subcommand("task", "Workspaces that stay until they are deleted");
  task->require_subcommand(1);
  const Flags flags = std::make_shared<TaskFlags>();
  Adder adder(*task, context);
  AddCreate(adder, flags);
  AddExec(adder, context, flags);
  AddId(adder.Add("status", "Show one task", flags,
                  [](Engine& engine, const Context& c, const TaskFlags& f) {
                    return Show(engine.StatusTask(f.task_id), c);
                  }),
        flags);
  AddLogs(adder, flags);
  adder.Add("list", "Show all tasks", flags, List)
      ->add_flag("-q,--quiet", flags->quiet, "Print ids only");
  AddId(adder.Add("stop", "Power a task's guest off; the next exec starts it again", flags,
                  [](Engine& engine, const Context& c, const TaskFlags& f) {
                    return Show(engine.StopTask(f.task_id), c);
                  }),
        flags);
  AddId(adder.Add("delete", "Delete a task with its workspace and journal", flags, Delete), flags);
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
}

}  // namespace pyro::cli
