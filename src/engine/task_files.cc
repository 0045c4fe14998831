#include "engine/task_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/context.h"
#include "engine/explain.h"
#include "registry/command_log.h"
#include "registry/disk_reserve.h"
#include "registry/task_adoption.h"
#include "registry/task_directory.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/random.h"

namespace pyro::engine {
namespace {

using registry::InstanceEvent;
using registry::InstanceRecord;
using registry::InstanceState;
using registry::Registry;
using registry::TaskFiles;

constexpr std::chrono::seconds kSettleLimit{60};

// True if another process could have left files of it behind.
bool NeedsALook(const InstanceRecord& task) {
  return task.state != InstanceState::kStopped || task.execution_mode == ExecutionMode::kPending;
}

// Removals that were interrupted between directory and row.
void FinishRemovals(Registry& registry, const Context& context,
                    const std::vector<InstanceRecord>& tasks) {
  for (const InstanceRecord& task : tasks) {
    const auto retired = registry::RetiredTaskDirectory(context.state, task.id);
    struct stat info {};
    if (::lstat(retired.c_str(), &info) != 0) continue;
    // First the files, to make room: on a full disk the row could not be deleted.
    std::error_code ignored;
    std::filesystem::remove(retired / "data.img", ignored);
    (void)RemoveTaskFromDisk(context, registry, task.id);
  }
}

Status RemoveLeftovers(Registry& registry, const Context& context) {
  return registry.WithExclusive([&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> tasks,
                          registry.List(InstanceKind::kTask));
    std::vector<InstanceId> known;
    for (const InstanceRecord& task : tasks) known.push_back(task.id);
    PYRO_ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> leftovers,
                          registry::LeftoverTaskDirectories(context.state, known));
    for (const auto& path : leftovers) {
      (void)sys::RemoveTree(path);
      PYRO_FAILPOINT("task.settle.leftover-removed");
    }
    return OkStatus();
  });
}

std::uint64_t BytesOnDisk(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

}  // namespace

GuestPlace PlaceOf(const Context& context, const InstanceId& id) {
  return {registry::TaskLock(context.state, id), registry::TaskControlSocket(context.state, id)};
}

Status SettleTask(Registry& registry, const Context& context, const InstanceId& id) {
  PYRO_ASSIGN_OR_RETURN(const TaskFiles files, registry::LookAtTaskFiles(context.state, id));
  if (files != TaskFiles::kReady) return RemoveTaskFromDisk(context, registry, id);
  // In this order: while the row says that it is started, an interrupted reconciliation is
  // repeated.
  const auto directory = registry::TaskDirectory(context.state, id);
  const WallTime now = context.clock.Now();
  PYRO_RETURN_IF_ERROR(registry.InterruptRunning(
      id, [&](std::int64_t sequence) { return registry::RecoverEnd(directory, sequence, now); }));
  PYRO_FAILPOINT("task.settle.commands-interrupted");
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord task, registry.Get(id));
  if (task.state == InstanceState::kStarted && task.execution_mode != ExecutionMode::kHostCompat) {
    registry::InstanceChanges changes;
    changes.last_error = "its supervisor was killed";
    PYRO_RETURN_IF_ERROR(registry.Apply(id, InstanceEvent::kLost, changes));
    PYRO_FAILPOINT("task.settle.lost-recorded");
  }
  return OkStatus();
}

Status ReapTasks(Registry& registry, const Context& context) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> tasks,
                        registry.List(InstanceKind::kTask));
  for (const InstanceRecord& task : tasks) {
    if (!NeedsALook(task)) continue;
    auto lock = sys::FileLock::TryAcquire(registry::TaskLock(context.state, task.id));
    const bool gone = !lock && lock.error().code == ErrorCode::kNotFound;
    if (!gone && (!lock || !*lock)) continue;
    // One task that cannot be reconciled must not hide the others; a call for it reports the error.
    (void)SettleTask(registry, context, task.id);
  }
  FinishRemovals(registry, context, tasks);
  PYRO_RETURN_IF_ERROR(RemoveLeftovers(registry, context));
  PYRO_RETURN_IF_ERROR(registry::AdoptTasks(registry, context.state, context.clock));
  return OkStatus();
}

Result<Registry> OpenTasks(const Context& context) {
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenRegistry(context));
  PYRO_RETURN_IF_ERROR(ReapTasks(registry, context));
  return registry;
}

Result<FoundTask> FindTask(const Context& context, const std::string& prefix) {
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenTasks(context));
  PYRO_ASSIGN_OR_RETURN(InstanceRecord task, registry.Find(InstanceKind::kTask, prefix));
  return FoundTask{std::move(registry), std::move(task)};
}

registry::InstanceSpec MakeTaskSpec(const TaskOptions& options, const std::string& digest) {
  registry::InstanceSpec spec{.id = InstanceId::FromBits(InstanceKind::kTask, sys::RandomBits())};
  spec.environment = options.environment;
  spec.environment_digest = digest;
  spec.vcpu_count = options.vcpu_count;
  spec.mem_mib = options.mem_mib;
  spec.disk_mib = options.disk_mib;
  spec.ttl = std::chrono::seconds(options.ttl_seconds);
  spec.network = options.network;
  spec.allow_host_compat = options.allow_host_compat;
  return spec;
}

Result<NewTask> CreateTaskOnDisk(Registry& registry, const Context& context,
                                 const registry::InstanceSpec& spec) {
  std::optional<NewTask> created;
  PYRO_RETURN_IF_ERROR(registry.WithExclusive([&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(sys::FileLock lock,
                          registry::CreateTaskDirectory(context.state, spec, context.clock.Now()));
    auto record = registry.Insert(spec);
    if (!record) {
      (void)registry::RemoveTaskDirectory(context.state, spec.id);
      return std::move(record).error();
    }
    created.emplace(NewTask{std::move(*record), std::move(lock)});
    PYRO_FAILPOINT("task.create.row-inserted");
    return OkStatus();
  }));
  PYRO_FAILPOINT("task.create.row-committed");
  return std::move(*created);
}

TaskCommand DescribeCommand(const Context& context, const registry::CommandRecord& command,
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

Result<TaskInfo> DescribeTask(const Context& context, Registry& registry,
                              const InstanceRecord& task) {
  TaskInfo info;
  info.task_id = task.id.str();
  info.environment = task.environment;
  info.state = task.state;
  info.vcpu_count = task.vcpu_count;
  info.mem_mib = task.mem_mib;
  info.disk_mib = task.disk_mib;
  info.ttl_seconds = task.ttl.count();
  info.network_enabled = task.network;
  info.allow_host_compat = task.allow_host_compat;
  info.execution_mode = task.execution_mode;
  info.accelerator = task.accelerator;
  info.created_at = FormatTime(task.created_at);
  info.last_used_at = FormatTime(task.last_used_at);
  info.expires_at = FormatTime(task.expires_at);
  info.last_error = task.last_error;
  if (task.state == InstanceState::kStarted &&
      registry::IsStarving(registry::TaskDirectory(context.state, task.id))) {
    info.last_error =
        "this host's disk is full: no command can start, and output is dropped, until some is free";
  }
  info.command_count = task.command_count;
  // Not a walk over the journal, which may have ten thousand entries.
  info.disk_bytes =
      BytesOnDisk(registry::TaskDataImage(context.state, task.id)) + task.output_bytes;
  PYRO_ASSIGN_OR_RETURN(const std::optional<registry::CommandRecord> last,
                        registry.LastCommand(task.id));
  if (last) info.last_command = DescribeCommand(context, *last, task.accelerator);
  return info;
}

Status RemoveTaskFromDisk(const Context& context, Registry& registry, const InstanceId& id) {
  // A row cannot be deleted on a disk without any room.
  (void)registry::DiskReserve(registry::TaskDirectory(context.state, id)).Release();
  PYRO_RETURN_IF_ERROR(registry.WithExclusive([&]() -> Status {
    const auto task = registry.Get(id);
    if (task && task->state == InstanceState::kStarted) {
      PYRO_RETURN_IF_ERROR(registry.Apply(id, InstanceEvent::kLost));
    }
    PYRO_RETURN_IF_ERROR(registry::RetireTaskDirectory(context.state, id));
    PYRO_FAILPOINT("task.delete.directory-retired");
    PYRO_RETURN_IF_ERROR(registry.Delete(id));
    PYRO_FAILPOINT("task.delete.row-deleted");
    return OkStatus();
  }));
  PYRO_FAILPOINT("task.delete.row-committed");
  return registry::RemoveTaskDirectory(context.state, id);
}

Status DeleteTaskEverywhere(const Context& context, Registry& registry, const InstanceId& id) {
  auto held = TakeOver(PlaceOf(context, id));
  // Without a directory there is no lock to take, but perhaps a row.
  if (!held && held.error().code != ErrorCode::kNotFound) return std::move(held).error();
  PYRO_FAILPOINT("task.delete.taken-over");
  if (held && held->link) {
    PYRO_RETURN_IF_ERROR(
        held->link->Stop(wire::Stop{.remove = true}, Deadline::After(kSettleLimit)));
    PYRO_FAILPOINT("task.delete.guest-ended");
  }
  // Repeats the supervisor's removal: it may have been killed in the middle.
  return RemoveTaskFromDisk(context, registry, id);
}

}  // namespace pyro::engine
