#include "engine/describe.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>

#include "base/try.h"
#include "engine/explain.h"
#include "engine/instance/instance_rows.h"
#include "state/disk_reserve.h"
#include "state/instance/instance_directory.h"

namespace pyro::engine {
namespace {

using state::InstanceRecord;
using state::InstanceState;
using state::Registry;

std::uint64_t BytesOnDisk(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

}  // namespace

VmInfo DescribeVm(const InstanceRecord& vm) {
  VmInfo info;
  ToInfo(vm, api::Rows<VmInfo>(), &info);
  info.vm_id = vm.id.str();
  info.network_enabled = vm.network;
  return info;
}

Result<TaskInfo> DescribeTask(const Context& context, Registry& registry,
                              const InstanceRecord& task) {
  TaskInfo info;
  ToInfo(task, api::Rows<TaskInfo>(), &info);
  info.task_id = task.id.str();
  info.network_enabled = task.network;
  if (task.state == InstanceState::kStarted &&
      state::IsStarving(state::InstanceDirectory(context.state, task.id))) {
    info.last_error =
        "this host's disk is full: no command can start, and output is dropped, until some is free";
  }
  // Not a walk over the journal, which may have ten thousand entries.
  info.disk_bytes = BytesOnDisk(state::DataImage(context.state, task.id)) + task.output_bytes;
  PYRO_ASSIGN_OR_RETURN(const std::optional<state::CommandRecord> last,
                        registry.LastCommand(task.id));
  if (last) info.last_command = DescribeCommand(context, *last, task.accelerator);
  return info;
}

TaskCommand DescribeCommand(const Context& context, const state::CommandRecord& command,
                            std::string_view accelerator) {
  TaskCommand described;
  described.sequence = command.sequence;
  described.command = command.argv;
  described.cwd = command.cwd;
  described.timeout_seconds = command.timeout_ms / 1000;
  described.execution_mode = command.execution_mode;
  described.started_at = FormatTime(command.started_at);
  if (!command.end) {
    // The guest's own clock has not told yet.
    const auto ran = std::chrono::duration_cast<std::chrono::milliseconds>(context.clock.Now() -
                                                                           command.started_at);
    described.duration_ms = std::max<std::int64_t>(ran.count(), 0);
    return described;
  }
  const CommandEnd& end = *command.end;
  described.state = CommandState::kEnded;
  described.outcome = end.outcome;
  described.exit_code = end.ExitCode();
  described.ended_at = FormatTime(end.ended_at);
  described.duration_ms = end.duration_us / 1000;
  described.stdout_bytes = end.stdout_bytes;
  described.stderr_bytes = end.stderr_bytes;
  described.stdout_dropped = end.stdout_dropped;
  described.stderr_dropped = end.stderr_dropped;
  described.output_left_open = end.output_left_open;
  described.explanation = Explain(command, end, accelerator, InTask::kYes);
  return described;
}

}  // namespace pyro::engine
