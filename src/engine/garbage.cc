#include "engine/garbage.h"

#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/download_cache.h"
#include "engine/environments.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/templates.h"
#include "engine/local_engine.h"
#include "state/pool/spare_pool.h"
#include "state/quota.h"
#include "sys/disk_walk.h"
#include "sys/failpoint.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

class Collector {
 public:
  Collector(const Context& context, bool dry) : context_(context), dry_(dry) {
    report_.dry_run = dry;
  }

  Result<GarbageReport> Run() {
    PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenRegistry(context_));
    CollectSpares();  // First: the reconciliation of VMs would take them along.
    PYRO_RETURN_IF_ERROR(CollectInstances(registry, InstanceKind::kVm, "vms"));
    PYRO_RETURN_IF_ERROR(CollectInstances(registry, InstanceKind::kTask, "tasks"));
    PYRO_FAILPOINT("gc.instances-removed");
    PYRO_RETURN_IF_ERROR(CollectEnvironments(registry));
    PYRO_FAILPOINT("gc.environments-removed");
    PrunedEnvironments downloads;
    PYRO_RETURN_IF_ERROR(PruneDownloads(context_, DownloadsToPrune::kAboveLimit, dry_, downloads));
    for (const auto& item : downloads.removed) Note("downloads", "", item.what, item.bytes);
    // Also removes what ended guests have left of their reservations.
    if (!dry_) (void)state::CountGuests(context_.state);
    return std::move(report_);
  }

 private:
  void Note(std::string kind, std::string name, std::string what, std::uint64_t bytes) {
    report_.freed.push_back({std::move(kind), std::move(name), std::move(what), bytes});
    report_.bytes_freed += bytes;
  }

  struct Measured {
    fs::path directory;
    std::uint64_t bytes = 0;
  };

  static std::vector<Measured> Measure(const std::vector<fs::path>& directories) {
    std::vector<Measured> list;
    for (const fs::path& one : directories) list.push_back({one, sys::DiskWalk().Add(one)});
    return list;
  }

  // What is still there was kept, such as by a process that has just begun to use it.
  void NoteGone(const std::vector<Measured>& measured, const std::string& kind,
                const std::string& what) {
    for (const Measured& one : measured) {
      std::error_code error;
      if (!dry_ && fs::exists(fs::symlink_status(one.directory, error))) continue;
      Note(kind, one.directory.filename().native(), what, one.bytes);
    }
  }

  Status CollectInstances(state::Registry& registry, InstanceKind kind, const std::string& name) {
    PYRO_ASSIGN_OR_RETURN(const std::vector<fs::path> found,
                          FindRemovable(registry, context_, kind));
    const std::vector<Measured> measured = Measure(found);
    if (!dry_) PYRO_RETURN_IF_ERROR(ReconcileAll(registry, context_, kind));
    NoteGone(measured, name,
             kind == InstanceKind::kVm ? "ended or half made" : "half made or deleted");
    return OkStatus();
  }

  void CollectSpares() {
    const std::vector<Measured> measured = Measure(state::FindDeadSpares(context_.state));
    if (!dry_) state::ReapSpares(context_.state, context_.clock.Now());
    NoteGone(measured, "spares", "ended or half made");
  }

  Status CollectEnvironments(state::Registry& registry) {
    PYRO_ASSIGN_OR_RETURN(const std::set<std::string> in_use, registry.DigestsInUse());
    Environments environments(context_);
    PYRO_ASSIGN_OR_RETURN(const image::PruneReport pruned,
                          environments.store().Prune(image::PruneScope::kLeftovers, in_use,
                                                     {.guard = GuardOf(registry), .dry = dry_}));
    report_.skipped = pruned.skipped;
    TemplatesToPrune which{.agents = true, .dry = dry_};
    for (const image::PrunedItem& item : pruned.removed) {
      const bool layers = item.name.empty();
      Note(layers ? "layers" : "environments", item.name, item.what, item.bytes);
      if (dry_ && !item.digest.empty()) {
        which.gone_versions.insert(item.name + " " + item.digest);
      }
    }
    PrunedEnvironments templates;
    PruneTemplates(context_, environments.store(), which, templates);
    for (const auto& item : templates.removed) {
      Note("templates", item.environment, item.what, item.bytes);
    }
    return OkStatus();
  }

  const Context& context_;
  const bool dry_;
  GarbageReport report_;
};

}  // namespace

image::RetireGuard GuardOf(state::Registry& registry,
                           std::function<Result<std::set<std::string>>()> in_use) {
  if (!in_use) in_use = [&registry] { return registry.DigestsInUse(); };
  return [&registry, in_use = std::move(in_use)](
             const std::function<Status(const std::set<std::string>&)>& retire) {
    return registry.WithExclusive([&]() -> Status {
      PYRO_ASSIGN_OR_RETURN(const std::set<std::string> digests, in_use());
      return retire(digests);
    });
  };
}

Result<GarbageReport> CollectGarbage(const Context& context, Engine::DryRun dry_run) {
  return Collector(context, dry_run == Engine::DryRun::kYes).Run();
}

Result<GarbageReport> LocalEngine::CollectGarbage(DryRun dry_run) {
  return engine::CollectGarbage(context_, dry_run);
}

}  // namespace pyro::engine
