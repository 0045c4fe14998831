#include "cli/task_table.h"

#include <unistd.h>

#include <string>

#include <fmt/format.h>

#include "base/age.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/output.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kWideTable = 112;
constexpr const char* kWideRow = "{:<31}  {:<15}  {:<8}  {:>8}  {:>9}  {:>6}  {}";
constexpr const char* kNarrowRow = "{:<31}  {:<15}  {:<7} {:>4} {:>9}  {}";

std::string Since(const std::string& time, WallTime now) {
  const auto then = ParseTime(time);
  return then ? FormatAge(now - *then) : time;
}

}  // namespace

void PrintTaskTable(const std::vector<TaskInfo>& tasks) {
  const bool narrow = TerminalColumns(STDOUT_FILENO, kWideTable) < kWideTable;
  const std::string header =
      narrow ? fmt::format(kNarrowRow, "TASK", "ENVIRONMENT", "STATE", "CMDS", "DISK", "USED")
             : fmt::format(kWideRow, "TASK", "ENVIRONMENT", "STATE", "COMMANDS", "DISK", "AGE",
                           "LAST USED");
  Print(Paint(STDOUT_FILENO, Colour::kBold, header) + "\n");
  const WallTime now = SystemClock().Now();
  for (const TaskInfo& task : tasks) {
    const std::string used = Since(task.last_used_at, now);
    const std::string disk = FormatBytes(task.disk_bytes);
    const std::string row =
        narrow ? fmt::format(kNarrowRow, task.task_id, task.environment, task.state,
                             task.command_count, disk, used)
               : fmt::format(kWideRow, task.task_id, task.environment, task.state,
                             task.command_count, disk, Since(task.created_at, now), used + " ago");
    Print(row + "\n");
  }
}

}  // namespace pyro::cli
