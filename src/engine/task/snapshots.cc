// Snapshots of a task's disk, and its reset to one.

#include "engine/task/snapshots.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/try.h"
#include "engine/describe.h"
#include "engine/instance/instance_guest.h"
#include "engine/limits.h"
#include "engine/local_engine.h"
#include "engine/task/disk_copy.h"
#include "image/store/blank.h"
#include "state/instance/instance_directory.h"
#include "state/snapshot/snapshots.h"
#include "sys/failpoint.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;
using state::InstanceRecord;
using state::SnapshotChanges;

// Of a first snapshot that is a copy: it may not delay a new task for long, nor double its disk.
constexpr std::uint64_t kMostFirstBytes = 64ULL << 20;
// For another call that changes the snapshots of the task.
constexpr std::chrono::seconds kChangesLimit{30};
// How often a guest is ended that other processes start again.
constexpr int kMostEnds = 3;

Result<SnapshotChanges> BeginChanges(const fs::path& directory) {
  auto changes = SnapshotChanges::Begin(directory, Deadline::After(kChangesLimit));
  if (changes || changes.error().code != ErrorCode::kTimedOut) return changes;
  return MakeError(ErrorCode::kUnavailable, "another call changes the task's snapshots just now",
                   "try again when it has ended");
}

// A task whose disk can be copied.
Result<Found> FindTaskWithDisk(const Context& context, const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context, task_id));
  PYRO_RETURN_IF_ERROR(CheckMade(context, found.instance.id));
  if (found.instance.execution_mode != ExecutionMode::kHostCompat) return found;
  return MakeError(ErrorCode::kWrongState, "the task runs on the host, and has no disk of its own",
                   "make a task with a guest");
}

TaskSnapshot DescribeSnapshot(const state::Snapshot& snapshot) {
  TaskSnapshot described;
  described.name = snapshot.name;
  described.created_at = FormatTime(snapshot.created_at);
  described.sequence = snapshot.sequence;
  return described;
}

// Takes a snapshot of the disk as it is now.
Result<state::Snapshot> Take(const Context& context, Found& found, SnapshotChanges& changes,
                             const std::string& name, const CallIo& io) {
  const InstanceId id = found.instance.id;
  PYRO_ASSIGN_OR_RETURN(Taken taken, Take(context, found));
  if (taken.link) {
    PYRO_RETURN_IF_ERROR(taken.link->AwaitReady(Deadline::After(kReadyLimit), io));
    PYRO_RETURN_IF_ERROR(CheckDiskOfTask(context, id));
  }
  PYRO_ASSIGN_OR_RETURN(const fs::path staged, changes.Stage());
  const DiskCopy copy = {.from = state::DataImage(context.state, id), .to = staged};
  state::Snapshot snapshot;
  snapshot.name = name;
  snapshot.created_at = context.clock.Now();
  PYRO_RETURN_IF_ERROR(taken.link ? CopyDiskOfGuest(copy, *taken.link, io) : CopyDisk(copy, io));
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord now, found.registry.Get(id));
  snapshot.sequence = now.next_sequence - 1;
  PYRO_RETURN_IF_ERROR(changes.Keep(snapshot));
  return snapshot;
}

Status KeepFirst(const Context& context, const state::InstanceSpec& task, SupervisorLink& link,
                 bool filled, const CallIo& io) {
  const fs::path directory = state::InstanceDirectory(context.state, task.id);
  PYRO_ASSIGN_OR_RETURN(SnapshotChanges changes, BeginChanges(directory));
  PYRO_ASSIGN_OR_RETURN(const fs::path staged, changes.Stage());
  DiskCopy copy = {.from = state::DataImage(context.state, task.id),
                   .to = staged,
                   .most_written = kMostFirstBytes};
  Status copied = OkStatus();
  if (filled) {
    copied = CopyDiskOfGuest(copy, link, io);
  } else {
    PYRO_ASSIGN_OR_RETURN(
        copy.from,
        image::EnsureBlankDisk(context.cache, static_cast<std::uint64_t>(task.disk_mib) << 20));
    copied = CopyDisk(copy, io);
  }
  state::Snapshot snapshot;
  snapshot.name = state::kFirstSnapshot;
  snapshot.created_at = context.clock.Now();
  if (copied) copied = changes.Keep(snapshot);
  if (!copied) changes.DropStaged();
  return copied;
}

// Ends the guest, and takes the lock of the task.
Result<sys::FileLock> TakeDown(const Context& context, Found& found) {
  const InstanceId id = found.instance.id;
  for (int i = 0; i < kMostEnds; ++i) {
    PYRO_RETURN_IF_ERROR(StopGuest(context, found.registry, id));
    PYRO_ASSIGN_OR_RETURN(Held held, TakeOver(PlaceOf(context, id)));
    if (!held.lock) continue;  // Another process has started it again.
    PYRO_RETURN_IF_ERROR(Reconcile(found.registry, context, id));
    PYRO_ASSIGN_OR_RETURN(found.instance, found.registry.Get(id));
    return std::move(*held.lock);
  }
  return MakeError(ErrorCode::kUnavailable, "other calls start the task's guest again and again",
                   "try again when they have ended");
}

}  // namespace

void KeepFirstState(const Context& context, const state::InstanceSpec& task, SupervisorLink& link,
                    bool filled, const CallIo& io) {
  const Status kept = KeepFirst(context, task, link, filled, io);
  if (kept || !io.on_notice) return;
  io.on_notice(fmt::format(
      "the first state of the disk was not kept: {}; 'pyro task snapshot create {} {}' keeps it",
      kept.error().message, task.id.str(), state::kFirstSnapshot));
}

Result<TaskSnapshotInfo> LocalEngine::CreateTaskSnapshot(const std::string& task_id,
                                                         const std::string& name,
                                                         const CallIo& io) {
  PYRO_RETURN_IF_ERROR(state::CheckSnapshotName(name));
  PYRO_ASSIGN_OR_RETURN(Found found, FindTaskWithDisk(context_, task_id));
  PYRO_ASSIGN_OR_RETURN(SnapshotChanges changes,
                        BeginChanges(state::InstanceDirectory(context_.state, found.instance.id)));
  PYRO_RETURN_IF_ERROR(changes.CheckNew(name));
  PYRO_RETURN_IF_ERROR(CheckDisk(context_));
  const auto snapshot = Take(context_, found, changes, name, io);
  if (!snapshot) {
    changes.DropStaged();
    return snapshot.error();
  }
  TaskSnapshotInfo info{DescribeSnapshot(*snapshot)};
  info.task_id = found.instance.id.str();
  return info;
}

Result<TaskSnapshots> LocalEngine::ListTaskSnapshots(const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  PYRO_ASSIGN_OR_RETURN(
      const std::vector<state::Snapshot> snapshots,
      state::ListSnapshots(state::InstanceDirectory(context_.state, found.instance.id)));
  TaskSnapshots list;
  list.task_id = found.instance.id.str();
  for (const state::Snapshot& one : snapshots) list.snapshots.push_back(DescribeSnapshot(one));
  return list;
}

Result<DeletedTaskSnapshot> LocalEngine::DeleteTaskSnapshot(const std::string& task_id,
                                                            const std::string& name) {
  PYRO_RETURN_IF_ERROR(state::CheckSnapshotName(name));
  PYRO_ASSIGN_OR_RETURN(Found found, FindTaskWithDisk(context_, task_id));
  PYRO_ASSIGN_OR_RETURN(SnapshotChanges changes,
                        BeginChanges(state::InstanceDirectory(context_.state, found.instance.id)));
  PYRO_RETURN_IF_ERROR(changes.Remove(name));
  return DeletedTaskSnapshot{found.instance.id.str(), name};
}

Result<TaskResetInfo> LocalEngine::ResetTask(const std::string& task_id, const std::string& name,
                                             const CallIo& io) {
  PYRO_RETURN_IF_ERROR(state::CheckSnapshotName(name));
  PYRO_ASSIGN_OR_RETURN(Found found, FindTaskWithDisk(context_, task_id));
  const fs::path directory = state::InstanceDirectory(context_.state, found.instance.id);
  PYRO_ASSIGN_OR_RETURN(SnapshotChanges changes, BeginChanges(directory));
  PYRO_RETURN_IF_ERROR(state::ReadSnapshot(directory, name));
  const auto reset = [&]() -> Result<state::Reset> {
    PYRO_ASSIGN_OR_RETURN(const fs::path staged, changes.Stage());
    // First: after a failure the guest goes on.
    PYRO_RETURN_IF_ERROR(
        CopyDisk({.from = state::SnapshotImage(directory, name), .to = staged}, io));
    PYRO_FAILPOINT("task.reset.copied");
    PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, TakeDown(context_, found));
    PYRO_FAILPOINT("task.reset.guest-ended");
    state::Reset made;
    made.snapshot = name;
    made.reset_at = context_.clock.Now();
    made.sequence = found.instance.next_sequence - 1;
    PYRO_RETURN_IF_ERROR(changes.Use(made));
    return made;
  }();
  if (!reset) {
    changes.DropStaged();
    return reset.error();
  }
  TaskResetInfo info{DescribeReset(*reset)};
  info.task_id = found.instance.id.str();
  return info;
}

}  // namespace pyro::engine
