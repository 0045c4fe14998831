// pyro task ps, stdin and signal: what runs in a task.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/age.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/closing.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"
#include "front/cli/task_table.h"

namespace pyro::cli {
namespace {

constexpr const char* kTreeNote = "CMD# is the command of the journal that a process belongs to.";
constexpr std::size_t kDeepest = 16;  // Deeper ones are shown as if they were so deep.

struct Placed {
  const TaskProcess* process;
  std::size_t depth;
};

// Each below its parent. The guest tells who that is, so a circle of parents is no one's child.
std::vector<Placed> TreeOf(const std::vector<TaskProcess>& processes) {
  std::set<std::int64_t> pids;
  for (const TaskProcess& one : processes) pids.insert(one.pid);
  std::multimap<std::int64_t, const TaskProcess*> children;
  std::vector<const TaskProcess*> roots;
  for (const TaskProcess& one : processes) {
    const bool has_parent = one.parent != one.pid && pids.contains(one.parent);
    if (has_parent) children.emplace(one.parent, &one);
    if (!has_parent) roots.push_back(&one);
  }
  std::vector<Placed> placed;
  std::set<const TaskProcess*> done;
  const auto place = [&](const TaskProcess* root) {
    std::vector<Placed> pending = {{root, 0}};
    while (!pending.empty()) {
      const Placed next = pending.back();
      pending.pop_back();
      if (!done.insert(next.process).second) continue;
      placed.push_back(next);
      const auto [first, last] = children.equal_range(next.process->pid);
      const auto end = static_cast<std::ptrdiff_t>(pending.size());
      for (auto it = first; it != last; ++it) pending.push_back({it->second, next.depth + 1});
      std::reverse(pending.begin() + end, pending.end());
    }
  };
  for (const TaskProcess* root : roots) place(root);
  for (const TaskProcess& one : processes) place(&one);
  return placed;
}

void PrintTree(const Context&, const TaskProcesses& told, bool quiet) {
  if (quiet) {
    for (const TaskProcess& one : told.processes) Print(fmt::format("{}\n", one.pid));
    return;
  }
  std::string text;
  const auto row = [&text](const auto& pid, const auto& uid, const auto& state, const auto& since,
                           const auto& cpu, const auto& memory, const auto& sequence,
                           const std::string& command) {
    text += fmt::format("{:>7}  {:>5}  {:<8}  {:>6}  {:>9}  {:>9}  {:>4}  {}\n", pid, uid, state,
                        since, cpu, memory, sequence, command);
  };
  row("PID", "UID", "STATE", "SINCE", "CPU", "MEMORY", "CMD#", "COMMAND");
  text = Paint(STDOUT_FILENO, Colour::kBold, text.substr(0, text.size() - 1)) + "\n";
  for (const auto& [process, depth] : TreeOf(told.processes)) {
    const std::string indent =
        depth == 0 ? "" : std::string(2 * std::min(depth - 1, kDeepest), ' ') + "\\_ ";
    row(process->pid, process->uid, process->state,
        FormatAge(std::chrono::seconds(process->age_seconds)),
        fmt::format("{:.2f} s", static_cast<double>(process->cpu_ms) / 1000),
        FormatBytes(static_cast<std::uint64_t>(process->rss_kib) * 1024),
        process->sequence > 0 ? std::to_string(process->sequence) : "-",
        indent + Printable(process->command, 1000));
  }
  Print(text);
  if (told.truncated) Talk("More processes run than are listed\n");
}

struct PsFlags {
  TaskRequest request;
  bool quiet = false;
};

int Ps(Engine& engine, const Context& context, const PsFlags& flags) {
  if (flags.request.task_id.empty()) {
    auto tasks = engine.ListTasks();
    if (!tasks) return Fail(tasks.error(), context);
    const TaskList list{std::move(*tasks)};
    if (context.json) PrintJson(ToJson(list));
    if (!context.json) PrintTasks(context, list, flags.quiet);
    return kExitOk;
  }
  Call call(StyleOf(context, flags.quiet), flags.request.task_id);
  const auto told = call.Run(
      [&](const CallIo& io) { return engine.ListTaskProcesses(flags.request.task_id, io); });
  if (!told) return Fail(told.error(), context);
  if (context.json) {
    PrintJson(ToJson(*told));
  } else {
    PrintTree(context, *told, flags.quiet);
  }
  return kExitOk;
}

void PrintSignalled(const Context&, const SignalledTaskCommand& told, bool quiet) {
  if (quiet) return;
  Print(fmt::format("Command {}: {} to {}; {} of the command's processes {} left\n", told.sequence,
                    told.signal, Reached(told.processes, told.signalled),
                    told.left == 0 ? "none" : std::to_string(told.left),
                    told.left > 1 ? "are" : "is"));
}

// An exit code of its own says that the time was over.
int WriteStdin(Engine& engine, const Context& context,
               const CallFlags<WriteTaskStdinRequest>& flags) {
  const WriteTaskStdinRequest& request = flags.request;
  Call call(StyleOf(context, flags.quiet), request.task_id);
  call.PassStdin();
  const auto written = call.Run([&](const CallIo& io) {
    return engine.WriteTaskStdin(request.task_id, request.sequence,
                                 request.close ? Engine::CloseStdin::kYes : Engine::CloseStdin::kNo,
                                 request.timeout_seconds, io);
  });
  if (!written) return Fail(written.error(), context);
  if (context.json) PrintJson(ToJson(*written));
  if (!written->complete && !context.json) {
    Talk(
        fmt::format("pyro: the command has taken {} bytes and does not read on\n"
                    "hint: give a longer --timeout-seconds; its stdin is still open\n",
                    written->bytes));
  }
  return written->complete ? kExitOk : kExitTimedOut;
}

}  // namespace

void AddTaskPs(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<PsFlags>();
  CLI::App* ps = task.add_subcommand("ps", "Show all tasks, or the processes of one as a tree");
  ps->footer(std::string(kTreeNote) + "\n\nExample:\n  pyro task ps $id");
  AddJson(ps, context);
  ps->add_option("task_id", flags->request.task_id,
                 "The task's id, its first 6 characters, or its name")
      ->type_name("TASK_ID");
  ps->add_flag("-q,--quiet", flags->quiet, "Print ids only");
  OnChosen(ps, context, [&context, flags](Engine& engine) { return Ps(engine, context, *flags); });
}

void AddTaskProcesses(CLI::App& task, Context& context) {
  AddRowCommand(task, context,
                {.operation = "task processes",
                 .texts = {.quiet = "Print ids only",
                           .example = "pyro task processes $id",
                           .note = kTreeNote},
                 .waits = true},
                PrintTree);
}

void AddTaskHands(CLI::App& task, Context& context) {
  AddOperation(task, context, "task stdin",
               {.quiet = "Print no progress",
                .example = "echo 'print(6 * 7)' | pyro task stdin --sequence 3 $id",
                .note = "The command was started with 'pyro task exec --background --keep-stdin'."},
               std::make_shared<CallFlags<WriteTaskStdinRequest>>(), WriteStdin)
      ->get_option("--sequence")
      ->required();
  AddRowCommand(
      task, context,
      {.operation = "task signal",
       .texts = {.quiet = "Print nothing", .example = "pyro task signal --sequence 3 $id TERM"},
       .waits = true},
      PrintSignalled)
      ->get_option("--sequence")
      ->required();
}

}  // namespace pyro::cli
