// pyro df, pyro gc and pyro limits

#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "front/cli/commands.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kTasksShown = 10;

using TableLine = std::vector<std::string>;

// The first column is on the left, the others are on the right.
std::string AlignedText(const std::vector<TableLine>& lines) {
  std::vector<std::size_t> widths;
  for (const TableLine& line : lines) {
    widths.resize(std::max(widths.size(), line.size()));
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (std::size_t row = 0; row < lines.size(); ++row) {
    std::string line;
    for (std::size_t i = 0; i < lines[row].size(); ++i) {
      line += i == 0 ? fmt::format("{:<{}}", lines[row][i], widths[i])
                     : fmt::format("  {:>{}}", lines[row][i], widths[i]);
    }
    text += (row == 0 ? Paint(STDOUT_FILENO, Colour::kBold, line) : line) + "\n";
  }
  return text;
}

// Such as "limit.disk: 800 MiB taken, no limit".
std::string UseText(const LimitInfo& one) {
  const bool left = one.kind == "at_least";
  const std::string limit =
      one.limit ? fmt::format("{} {} MiB", left ? "at least" : "at most", *one.limit) : "no limit";
  return fmt::format("{}: {} MiB {}, {}", one.name, one.now, left ? "free" : "taken", limit);
}

void PrintDiskReport(const Context&, const DiskReport& report, bool) {
  std::vector<TableLine> kinds = {{"KIND", "SIZE", "GC FREES"}};
  for (const DiskUse& use : report.uses) {
    kinds.push_back({use.kind, FormatBytes(use.bytes), FormatBytes(use.reclaimable_bytes)});
  }
  kinds.push_back({"all", FormatBytes(report.bytes), FormatBytes(report.reclaimable_bytes)});
  std::string text = AlignedText(kinds);
  if (!report.tasks.empty()) {
    std::vector<TableLine> tasks = {{"TASK", "SIZE", "DISK", "SNAPSHOTS", "JOURNAL"}};
    const std::size_t shown = std::min(report.tasks.size(), kTasksShown);
    for (std::size_t i = 0; i < shown; ++i) {
      const TaskSize& task = report.tasks[i];
      tasks.push_back({task.name.empty() ? task.task_id : Printable(task.name, 60),
                       FormatBytes(task.bytes), FormatBytes(task.disk_bytes),
                       FormatBytes(task.snapshots_bytes), FormatBytes(task.journal_bytes)});
    }
    text += "\n" + AlignedText(tasks);
    if (shown < report.tasks.size()) {
      text += fmt::format("and {} smaller ones\n", report.tasks.size() - shown);
    }
  }
  text += fmt::format("\nFree: {} at {}\n", FormatBytes(report.free_bytes),
                      Printable(report.state_directory, 400));
  if (report.cache_free_bytes != report.free_bytes) {
    text += fmt::format("Free: {} at {}\n", FormatBytes(report.cache_free_bytes),
                        Printable(report.cache_directory, 400));
  }
  for (const LimitInfo& one : report.limits) text += UseText(one) + "\n";
  Print(text);
}

void PrintGarbage(const Context&, const GarbageReport& report, bool quiet) {
  for (const std::string& name : report.skipped) {
    Talk(fmt::format("pyro: another pyro pulls, tags or prunes {}, left alone\n",
                     Printable(name, 300)));
  }
  if (quiet) return;
  const std::string_view verb = report.dry_run ? "would remove" : "removed";
  for (const FreedItem& item : report.freed) {
    const std::string words = fmt::format("{}: {} {}", item.kind, item.what, item.name);
    Print(fmt::format("{} {} ({})\n", verb, Printable(TrimSpace(words), 400),
                      FormatBytes(item.bytes)));
  }
  std::map<std::string, std::uint64_t> kinds;
  for (const FreedItem& item : report.freed) kinds[item.kind] += item.bytes;
  for (const auto& [kind, bytes] : kinds) {
    Print(fmt::format("{}: {}\n", kind, FormatBytes(bytes)));
  }
  Print(fmt::format("{} {}\n", FormatBytes(report.bytes_freed),
                    report.dry_run ? "would be freed" : "freed"));
}

void PrintLimits(const Context&, const LimitList& list, bool) {
  std::vector<TableLine> lines = {{"LIMIT", "NOW", "", "LIMIT", "FROM"}};
  for (const LimitInfo& one : list.limits) {
    const bool counts = one.name == "limit.guests" || one.name == "limit.tasks";
    const std::string_view unit = counts ? "" : " MiB";
    lines.push_back({one.name, fmt::format("{}{}", one.now, unit),
                     one.kind == "at_least" ? "at least" : "at most",
                     one.limit ? fmt::format("{}{}", *one.limit, unit) : "none", one.decided_by});
  }
  Print(AlignedText(lines));
}

}  // namespace

void AddDf(CLI::App& app, Context& context) {
  AddRowCommand(app, context,
                {.operation = "df",
                 .texts = {.example = "pyro df",
                           .note = "Sizes are what is allocated. A file with several names counts "
                                   "once."},
                 .reaps = false},
                PrintDiskReport);
}

void AddGc(CLI::App& app, Context& context) {
  AddRowCommand(app, context,
                {.operation = "gc",
                 .texts = {.quiet = "Print nothing",
                           .example = "pyro gc --dry-run",
                           .note = "It removes versions that no task needs, layers and templates "
                                   "without one,\ndownloads above their limit, ended VMs, and what "
                                   "killed processes left. It never\nremoves a task, its snapshots "
                                   "or its journal, nor what a process uses."},
                 .reaps = false},
                PrintGarbage);
}

void AddLimits(CLI::App& app, Context& context) {
  AddRowCommand(app, context,
                {.operation = "limits",
                 .texts = {.example = "pyro limits",
                           .note = "Change one with: pyro config set limit.guests 8"},
                 .reaps = false},
                PrintLimits);
}

}  // namespace pyro::cli
