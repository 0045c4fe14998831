// pyro task snapshot | reset | df

#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"

namespace pyro::cli {
namespace {

void PrintSnapshot(const Context&, const TaskSnapshotInfo& snapshot, bool quiet) {
  if (!quiet) Print(fmt::format("Snapshot: {}\n", snapshot.name));
}

void PrintSnapshots(const Context&, const TaskSnapshots& list, bool quiet) {
  if (list.snapshots.empty() && !quiet) Talk("the task has no snapshot\n");
  for (const TaskSnapshot& one : list.snapshots) {
    Print(quiet
              ? one.name + "\n"
              : fmt::format("{}  after command {}  {}\n", one.created_at, one.sequence, one.name));
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

}  // namespace

void AddTaskSnapshots(CLI::App& task, Context& context) {
  CLI::App* snapshot = task.add_subcommand("snapshot", "Keep states of a task's disk by name");
  snapshot->require_subcommand(1);
  snapshot->footer(
      "A snapshot has the workspace and the changes to the root, and no memory.\n\n"
      "Example:\n  pyro task snapshot create $id before\n  pyro task reset $id --snapshot before\n\n"
      "'pyro task snapshot COMMAND --help' tells more.");
  AddRowCommand(*snapshot, context,
                {.operation = "task snapshot create",
                 .texts = {.quiet = "Print nothing",
                           .example = "pyro task snapshot create $id before",
                           .note = "On a file system with reflinks, such as xfs or btrfs, this "
                                   "takes milliseconds and\nno room. Elsewhere it is a copy, and "
                                   "processes that write wait until its end."},
                 .waits = true},
                PrintSnapshot);
  AddRowCommand(*snapshot, context,
                {.operation = "task snapshot list",
                 .texts = {.quiet = "Print names only", .example = "pyro task snapshot list $id"}},
                PrintSnapshots)
      ->alias("ls");
  AddRowCommand(
      *snapshot, context,
      {.operation = "task snapshot delete",
       .texts = {.quiet = "Print nothing", .example = "pyro task snapshot delete $id before"}})
      ->alias("rm");
  AddRowCommand(
      task, context,
      {.operation = "task reset",
       .texts = {.quiet = "Print nothing",
                 .example = "pyro task reset $id",
                 .note = "What was on the disk before is lost, unless a snapshot has it."},
       .waits = true},
      PrintReset);
  AddRowCommand(task, context, {.operation = "task df", .texts = {.example = "pyro task df $id"}},
                PrintUse);
}

}  // namespace pyro::cli
