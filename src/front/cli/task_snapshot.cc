// pyro task snapshot | reset | diff | summary | df

#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/age.h"
#include "base/git_path.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/harmless.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"

namespace pyro::cli {
namespace {

void PrintSnapshot(const Context&, const TaskSnapshotInfo& snapshot, bool quiet) {
  if (!quiet) Print(fmt::format("Snapshot: {}\n", snapshot.name));
}

void PrintSnapshotDeleted(const Context&, const DeletedTaskSnapshot& snapshot, bool quiet) {
  if (!quiet) Print(fmt::format("Deleted snapshot: {}\n", snapshot.name));
}

void PrintSnapshots(const Context&, const TaskSnapshots& list, bool quiet) {
  if (list.snapshots.empty() && !quiet) return Talk("the task has no snapshot\n");
  constexpr const char* kRow = "{:<24}  {:>4}  {}";
  if (!quiet) {
    const std::string header = fmt::format(kRow, "CREATED", "CMD#", "SNAPSHOT");
    Print(Paint(STDOUT_FILENO, Colour::kBold, header) + "\n");
  }
  for (const TaskSnapshot& one : list.snapshots) {
    Print((quiet ? one.name : fmt::format(kRow, one.created_at, one.sequence, one.name)) + "\n");
  }
}

void PrintReset(const Context&, const TaskResetInfo& reset, bool quiet) {
  if (quiet) return;
  Print(
      fmt::format("Disk: as of snapshot {}\nProcesses: ended; the next command starts the guest\n"
                  "Journal: goes on behind command {}\n",
                  reset.snapshot, reset.sequence));
}

void PrintUse(const Context&, const TaskDiskUse& use, bool) {
  const auto line = [&](std::string_view what, std::uint64_t bytes, std::uint64_t own) {
    const bool shares = use.exact && own < bytes;
    Print(fmt::format("{}: {}{}\n", what, FormatBytes(bytes),
                      shares ? fmt::format(", of which {} are its own", FormatBytes(own)) : ""));
  };
  line(fmt::format("Disk, up to {} MiB", use.disk_mib), use.disk_bytes, use.own_bytes);
  for (const TaskSnapshotUse& one : use.snapshots) {
    line("Snapshot " + one.name, one.disk_bytes, one.own_bytes);
  }
  Print(fmt::format("Journal: {}\nConsole log: {}\nTogether: {}{}\nFree on this host: {}\n",
                    FormatBytes(use.journal_bytes), FormatBytes(use.console_bytes),
                    use.exact ? "" : "at most ", FormatBytes(use.total_bytes),
                    FormatBytes(use.free_bytes)));
}

void PrintSummary(const Context&, const TaskSummary& summary, bool) {
  Print(fmt::format(
      "Commands: {}, {} failed, {} interrupted, {} running\nTime: {}\n"
      "Output: {}{}\n",
      summary.commands, summary.failed, summary.interrupted, summary.running,
      FormatAge(std::chrono::milliseconds(summary.duration_ms)), FormatBytes(summary.output_bytes),
      summary.output_dropped == 0
          ? ""
          : fmt::format(", and {} not kept", FormatBytes(summary.output_dropped))));
  Print(fmt::format("Disk: {}, snapshots: {}, resets: {}\n", FormatBytes(summary.disk_bytes),
                    summary.snapshots, summary.resets));
  if (summary.changes) {
    const TaskChangeCounts& changes = *summary.changes;
    Print(fmt::format("Changes since {}: {} added, {} removed, {} modified\n", changes.snapshot,
                      changes.added, changes.removed, changes.modified));
  }
  for (const TaskCommand& one : summary.failures) {
    Print(fmt::format("Failed: {} $ {} ({})\n", one.sequence, OneLine(one), HowItEnded(one)));
  }
}

struct DiffFlags {
  DiffTaskRequest request;
  bool raw = false;
  bool quiet = false;
};

void PrintDifference(const TaskChange& change, Escapes escapes) {
  if (!change.text.empty()) {
    Print(escapes == Escapes::kShown ? Harmless(change.text) : change.text);
    return;
  }
  const std::string_view type = change.type.empty() ? change.old_type : change.type;
  const std::string why = change.shown.empty()          ? ""
                          : change.shown == "too_large" ? ": too large to be shown"
                                                        : ": it could not be read";
  // Of the lines before a patch, which programs skip.
  Print(fmt::format("# {} {} {}{}\n", change.kind, type, Printable(change.path, 4096), why));
}

int Diff(Engine& engine, const Context& context, const DiffFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.request.task_id);
  const auto diff = call.Run([&](const CallIo& io) { return engine.DiffTask(flags.request, io); });
  if (!diff) return Fail(diff.error(), context);
  if (context.json) {
    PrintJson(ToJson(*diff));
    return kExitOk;
  }
  const Escapes escapes = EscapesOn(STDOUT_FILENO, flags.raw);
  std::size_t in_git = 0;  // Much that says little, and that no program applies.
  for (const TaskChange& change : diff->changes) {
    const bool left_out = flags.request.paths.empty() && IsInGit(change.path);
    in_git += left_out ? 1 : 0;
    if (!left_out) PrintDifference(change, escapes);
  }
  if (in_git > 0) {
    Print(fmt::format("# changes in .git that are not shown: {}; name its path to see them\n",
                      in_git));
  }
  return kExitOk;
}

void AddDiff(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<DiffFlags>();
  CLI::App* diff = AddNamed(
      task, *api::FindOperation("task diff"),
      {.example = "pyro task diff $id\n  pyro task diff $id --snapshot before src",
       .note = "Prints a patch as git does, and a line with # for what has none. Starts a\n"
               "stopped guest. Files over 256 KiB are named only. Times and owners do not count.\n"
               "Changes in a .git are counted, and shown if you name its path."});
  AddJson(diff, context);
  AddFields(diff, flags->request, {"paths"});
  diff->add_flag("--raw", flags->raw, "Let escape sequences act on a terminal");
  diff->add_flag("-q,--quiet", flags->quiet, "Print no progress");
  diff->add_option("paths", flags->request.paths,
                   "Compare these alone; relative ones from /workspace")
      ->type_name("PATH");
  OnChosen(diff, context,
           [&context, flags](Engine& engine) { return Diff(engine, context, *flags); });
}

}  // namespace

void AddTaskSnapshots(CLI::App& task, Context& context) {
  CLI::App* snapshot = task.add_subcommand("snapshot", "Keep states of a task's disk by name");
  snapshot->require_subcommand(1);
  snapshot->footer(
      "A snapshot has the workspace and the changes to the root, and no memory.\n\n"
      "Example:\n  pyro task snapshot create $id before\n  pyro task reset $id --snapshot before\n\n"
      "'pyro task snapshot COMMAND --help' tells more.");
  AddRowCommand(
      *snapshot, context,
      {.operation = "task snapshot create",
       .texts =
           {.quiet = "Print nothing",
            .example = "pyro task snapshot create $id before",
            .note =
                "On a file system with reflinks, such as xfs or btrfs, this takes milliseconds\n"
                "and no room. Elsewhere it is a copy, and writing processes wait until its end."},
       .waits = true},
      PrintSnapshot);
  AddRowCommand(*snapshot, context,
                {.operation = "task snapshot list",
                 .texts = {.quiet = "Print names only",
                           .example = "pyro task snapshot list $id",
                           .note = "CMD# is the last command that began before the snapshot."}},
                PrintSnapshots)
      ->alias("ls");
  AddRowCommand(
      *snapshot, context,
      {.operation = "task snapshot delete",
       .texts = {.quiet = "Print nothing", .example = "pyro task snapshot delete $id before"}},
      PrintSnapshotDeleted)
      ->alias("rm");
  AddRowCommand(
      task, context,
      {.operation = "task reset",
       .texts = {.quiet = "Print nothing",
                 .example = "pyro task reset $id",
                 .note = "What was on the disk before is lost, unless a snapshot has it."},
       .waits = true},
      PrintReset);
  AddDiff(task, context);
  AddRowCommand(task, context,
                {.operation = "task summary",
                 .texts = {.quiet = "Print no progress",
                           .example = "pyro task summary $id --changes-since create"},
                 .waits = true},
                PrintSummary);
  AddRowCommand(task, context, {.operation = "task df", .texts = {.example = "pyro task df $id"}},
                PrintUse);
}

}  // namespace pyro::cli
