#include "engine/task/disk_use.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/describe.h"
#include "engine/instance/instance_files.h"
#include "engine/local_engine.h"
#include "state/instance/instance_directory.h"
#include "state/journal/command_log.h"
#include "state/snapshot/snapshots.h"
#include "sys/disk_walk.h"
#include "sys/extents.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

// Disks that may share blocks.
class DiskBlocks {
 public:
  // Returns the bytes of the disk that no other file has.
  std::uint64_t Add(const fs::path& image) {
    const std::uint64_t bytes = sys::DiskUsage(image);
    sum_ += bytes;
    auto file = sys::OpenRegularFile(image, O_RDONLY);
    auto extents =
        file ? sys::ExtentsOf(*file) : Result<std::vector<sys::Extent>>(std::move(file).error());
    exact_ = exact_ && extents.ok();
    if (!extents) return bytes;
    std::uint64_t shared = 0;
    for (const sys::Extent& one : *extents) shared += one.shared ? one.bytes : 0;
    all_.insert(all_.end(), extents->begin(), extents->end());
    return bytes - std::min(bytes, shared);
  }

  bool exact() const { return exact_; }
  std::uint64_t Total() const { return exact_ ? sys::BytesOfAll(all_) : sum_; }

 private:
  std::vector<sys::Extent> all_;
  std::uint64_t sum_ = 0;
  bool exact_ = true;
};

}  // namespace

Result<TaskDiskUse> MeasureTask(const Context& context, const state::InstanceRecord& task) {
  const InstanceId& id = task.id;
  const fs::path directory = state::InstanceDirectory(context.state, id);
  TaskDiskUse use;
  use.task_id = id.str();
  use.disk_mib = task.disk_mib;
  const bool on_host = task.execution_mode == ExecutionMode::kHostCompat;
  DiskBlocks blocks;
  if (on_host) {
    use.disk_bytes = sys::DiskUsage(state::HostWorkspace(context.state, id));
    use.own_bytes = use.disk_bytes;
  } else {
    const fs::path image = state::DataImage(context.state, id);
    use.disk_bytes = sys::DiskUsage(image);
    use.own_bytes = blocks.Add(image);
  }
  PYRO_ASSIGN_OR_RETURN(const std::vector<state::Snapshot> snapshots,
                        state::ListSnapshots(directory));
  for (const state::Snapshot& snapshot : snapshots) {
    TaskSnapshotUse& one = use.snapshots.emplace_back();
    one.name = snapshot.name;
    const fs::path image = state::SnapshotImage(directory, snapshot.name);
    one.disk_bytes = sys::DiskUsage(image);
    one.own_bytes = blocks.Add(image);
  }
  use.exact = blocks.exact();
  use.journal_bytes =
      sys::DiskUsage(state::CommandLogFile(directory)) + sys::DiskUsage(directory / "commands");
  use.console_bytes = sys::DiskUsage(directory / "console.log");
  use.total_bytes =
      (on_host ? use.disk_bytes : blocks.Total()) + use.journal_bytes + use.console_bytes;
  PYRO_ASSIGN_OR_RETURN(use.free_bytes, sys::FreeSpace(directory));
  return use;
}

Result<TaskDiskUse> LocalEngine::DfTask(const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(const Found found, FindTask(context_, task_id));
  return MeasureTask(context_, found.instance);
}

}  // namespace pyro::engine
