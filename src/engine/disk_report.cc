// Where a user's disk goes.

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/garbage.h"
#include "engine/limits.h"
#include "engine/local_engine.h"
#include "engine/settings.h"
#include "engine/task/disk_use.h"
#include "sys/disk_walk.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

// The blocks that disks of a task share with each other count once.
struct Measured {
  TaskSize size;
  std::uint64_t shared_bytes = 0;
};

Measured SizeOf(const TaskDiskUse& use, const std::string& name) {
  Measured measured;
  TaskSize& size = measured.size;
  size.task_id = use.task_id;
  size.name = name;
  size.disk_bytes = use.disk_bytes;
  for (const TaskSnapshotUse& one : use.snapshots) size.snapshots_bytes += one.disk_bytes;
  size.journal_bytes = use.journal_bytes;
  const std::uint64_t alone =
      size.disk_bytes + size.snapshots_bytes + use.journal_bytes + use.console_bytes;
  measured.shared_bytes = alone - std::min(alone, use.total_bytes);
  return measured;
}

class Report {
 public:
  explicit Report(const Context& context) : context_(context) {}

  Result<DiskReport> Run() {
    report_.state_directory = context_.state;
    report_.cache_directory = context_.cache;
    // Layers are first: their files have names in the versions, too.
    Add("layers", walk_.Add(context_.cache / "oci"));
    Add("environments", walk_.Add(context_.cache / "environments"));
    Add("templates", walk_.Add(context_.cache / "templates"));
    Add("downloads", walk_.Add(context_.cache / "downloads"));
    PYRO_RETURN_IF_ERROR(AddTasks());
    Add("vms", walk_.Add(context_.state / "vms"));
    Add("spares", walk_.Add(context_.state / "spares"));
    Add("other", Rest(context_.cache, {"oci", "environments", "templates", "downloads"}) +
                     Rest(context_.state, {"tasks", "vms", "spares"}));
    PYRO_RETURN_IF_ERROR(AddReclaimable());
    for (const DiskUse& use : report_.uses) report_.bytes += use.bytes;
    PYRO_ASSIGN_OR_RETURN(std::vector<LimitInfo> limits, DescribeLimits(context_, report_.bytes));
    for (LimitInfo& one : limits) {
      if (one.name == kLimitDisk || one.name == kLimitFreeDisk) {
        report_.limits.push_back(std::move(one));
      }
    }
    report_.free_bytes = sys::FreeSpace(context_.state).value_or(0);
    report_.cache_free_bytes = sys::FreeSpace(context_.cache).value_or(report_.free_bytes);
    return std::move(report_);
  }

 private:
  void Add(std::string kind, std::uint64_t bytes) {
    report_.uses.push_back({std::move(kind), bytes, 0});
  }

  Status AddTasks() {
    std::uint64_t bytes = walk_.Add(context_.state / "tasks");
    PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenRegistry(context_));
    PYRO_ASSIGN_OR_RETURN(const auto tasks, registry.List(InstanceKind::kTask));
    for (const state::InstanceRecord& task : tasks) {
      const auto use = MeasureTask(context_, task);
      if (!use) continue;  // It is deleted at this moment.
      Measured measured = SizeOf(*use, task.name);
      const fs::path directory = context_.state / "tasks" / task.id.str();
      const std::uint64_t all = sys::DiskWalk().Add(directory);
      measured.size.bytes = all - std::min(all, measured.shared_bytes);
      bytes -= std::min(bytes, measured.shared_bytes);
      report_.tasks.push_back(std::move(measured.size));
    }
    std::sort(report_.tasks.begin(), report_.tasks.end(),
              [](const TaskSize& a, const TaskSize& b) { return a.bytes > b.bytes; });
    Add("tasks", bytes);
    return OkStatus();
  }

  std::uint64_t Rest(const fs::path& directory, const std::vector<std::string>& without) {
    std::uint64_t bytes = 0;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
      const std::string name = it->path().filename();
      if (std::find(without.begin(), without.end(), name) == without.end()) {
        bytes += walk_.Add(it->path());
      }
    }
    return bytes;
  }

  Status AddReclaimable() {
    PYRO_ASSIGN_OR_RETURN(const GarbageReport garbage,
                          CollectGarbage(context_, Engine::DryRun::kYes));
    for (const FreedItem& item : garbage.freed) {
      for (DiskUse& use : report_.uses) {
        if (use.kind == item.kind) use.reclaimable_bytes += item.bytes;
      }
    }
    report_.reclaimable_bytes = garbage.bytes_freed;
    return OkStatus();
  }

  const Context& context_;
  sys::DiskWalk walk_;
  DiskReport report_;
};

}  // namespace

Result<DiskReport> LocalEngine::Df() { return Report(context_).Run(); }

}  // namespace pyro::engine
