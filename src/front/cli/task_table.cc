#include "front/cli/task_table.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>

#include <fmt/format.h>

#include "base/age.h"
#include "base/text.h"
#include "front/cli/closing.h"
#include "front/cli/output.h"
#include "front/cli/task.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kWideTable = 120;
constexpr std::size_t kWidestName = 20;
constexpr std::size_t kWidestInNarrow = 9;
constexpr std::string_view kLast = "LAST";  // The last column fills the rest of the line.

std::string Since(const std::string& time, WallTime now) {
  const auto then = ParseTime(time);
  return then ? FormatAge(now - *then) : time;
}

// At most as wide as its column.
std::string TaskNameOf(const TaskInfo& task, std::size_t widest) {
  const std::string name = Printable(task.name);
  if (name.size() <= widest) return name;
  return std::string(CutUtf8(name, widest - 3)) + "…";
}

// Such as "make test (running)", in at most `columns`.
std::string Last(const TaskInfo& task, std::size_t columns) {
  if (!task.last_command) return "";
  const TaskCommand& command = *task.last_command;
  std::string ended;
  if (!command.outcome) {
    ended = " (running)";
  } else if (command.exit_code != 0) {
    ended = fmt::format(" ({})", command.exit_code);
  }
  const std::size_t room = columns - std::min(columns, ended.size());
  const std::string words = OneLine(command);
  if (words.size() <= room) return words + ended;
  return std::string(CutUtf8(words, room - std::min<std::size_t>(room, 1))) + "…" + ended;
}

}  // namespace

void PrintTaskTable(const std::vector<TaskInfo>& tasks, WallTime now) {
  const std::size_t columns = TerminalColumns(STDOUT_FILENO, kWideTable);
  const bool narrow = columns < kWideTable;
  const bool machines = MachinesDiffer(tasks);
  const std::size_t widest = narrow ? kWidestInNarrow : kWidestName;
  std::size_t named = 0;  // The width of the names' column; 0: there is none.
  for (const TaskInfo& task : tasks) {
    if (narrow && machines) break;
    if (!task.name.empty()) named = std::max(named, TaskNameOf(task, widest).size());
  }
  if (named > 0) named = std::max(named, std::string_view("NAME").size());
  // Of machines, names and sizes a narrow table has room for one.
  const bool sizes = !narrow || (!machines && named == 0);
  const auto row = [&](const std::string& id, const std::string& name,
                       const std::string& environment, std::string_view state,
                       std::string_view machine, std::string_view network, const std::string& count,
                       const std::string& disk, const std::string& used, std::string_view last) {
    return fmt::format("{:<{}}  {}{:<15}  {:<7}  {}{:<3}  {:>4}  {}{:>6}  {}", id, narrow ? 13 : 31,
                       named > 0 ? fmt::format("{:<{}}  ", name, named) : "", environment, state,
                       machines ? MachineCell(machine) : "", network, count,
                       sizes ? fmt::format("{:>9}  ", disk) : "", used, last);
  };
  const std::string header =
      row("TASK", "NAME", "ENVIRONMENT", "STATE", "MACHINE", "NET", "CMDS", "DISK", "USED", kLast);
  Print(Paint(STDOUT_FILENO, Colour::kBold, header) + "\n");
  const std::size_t left = header.size() - kLast.size();
  const std::size_t room = columns > left ? columns - left : 0;
  for (const TaskInfo& task : tasks) {
    std::string line =
        row(narrow ? ShortId(task.task_id) : task.task_id, TaskNameOf(task, widest),
            task.environment, Name(task.state), task.machine, task.network_enabled ? "yes" : "no",
            std::to_string(task.command_count), FormatBytes(task.disk_bytes),
            Since(task.last_used_at, now), Last(task, room));
    line.resize(line.find_last_not_of(' ') + 1);
    Print(line + "\n");
  }
}

}  // namespace pyro::cli
