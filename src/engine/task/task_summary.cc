// What happened in a task, in one document.

#include <algorithm>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/describe.h"
#include "engine/instance/instance_files.h"
#include "engine/local_engine.h"
#include "state/instance/instance_directory.h"
#include "state/snapshot/snapshots.h"

namespace pyro::engine {
namespace {

constexpr std::size_t kMostFailures = 20;

bool HasFailed(const CommandEnd& end) { return end.ExitCode() != 0; }

void Count(const state::CommandRecord& command, TaskSummary& summary) {
  if (!command.end) {
    ++summary.running;
    return;
  }
  const CommandEnd& end = *command.end;
  summary.failed += HasFailed(end) ? 1 : 0;
  summary.interrupted += end.outcome == Outcome::kInterrupted ? 1 : 0;
  summary.duration_ms += end.duration_us / 1000;
  summary.output_bytes += end.stdout_bytes - end.stdout_dropped;
  summary.output_bytes += end.stderr_bytes - end.stderr_dropped;
  summary.output_dropped += end.stdout_dropped + end.stderr_dropped;
}

}  // namespace

Result<TaskSummary> LocalEngine::SummarizeTask(const std::string& task_id,
                                               const std::string& changes_since, const CallIo& io) {
  TaskSummary summary;
  if (!changes_since.empty()) {
    DiffTaskRequest request;
    request.task_id = task_id;
    request.snapshot = changes_since;
    PYRO_ASSIGN_OR_RETURN(TaskDiff diff, DiffTask(request, io));
    summary.restart = std::move(diff.restart);
    summary.changes = TaskChangeCounts{diff.snapshot, diff.added, diff.removed, diff.modified};
  }
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  const InstanceId id = found.instance.id;
  PYRO_ASSIGN_OR_RETURN(const std::vector<state::CommandRecord> commands,
                        found.registry.ListCommands(id));
  summary.task_id = id.str();
  summary.commands = static_cast<std::int64_t>(commands.size());
  for (const state::CommandRecord& command : commands) Count(command, summary);
  for (auto one = commands.rbegin();
       one != commands.rend() && summary.failures.size() < kMostFailures; ++one) {
    if (!one->end || !HasFailed(*one->end)) continue;
    summary.failures.push_back(DescribeCommand(context_, *one, found.instance.accelerator));
  }
  std::reverse(summary.failures.begin(), summary.failures.end());
  PYRO_ASSIGN_OR_RETURN(const std::vector<state::Reset> resets,
                        state::ReadResets(state::InstanceDirectory(context_.state, id)));
  summary.resets = static_cast<std::int64_t>(resets.size());
  PYRO_ASSIGN_OR_RETURN(const TaskDiskUse use, DfTask(task_id));
  summary.snapshots = static_cast<std::int64_t>(use.snapshots.size());
  summary.disk_bytes = use.total_bytes;
  return summary;
}

}  // namespace pyro::engine
