// The supervisor's part of a VM's row; and the record of a VM without a row.

#include <chrono>
#include <optional>
#include <utility>

#include "base/try.h"
#include "registry/spare_pool.h"
#include "registry/vm_directory.h"
#include "supervisor/guest_row.h"
#include "sys/files.h"

namespace pyro::supervisor {
namespace {

using registry::InstanceEvent;
using registry::Registry;

class VmRow : public GuestRow {
 public:
  VmRow(const wire::SupervisorConfig& config, const Clock& clock)
      : GuestRow(config.state_dir, clock), id_(*InstanceId::Parse(InstanceKind::kVm, config.id)) {}

  Status Removed() override {
    PYRO_ASSIGN_OR_RETURN(Registry* const registry, Open());
    PYRO_RETURN_IF_ERROR(registry->WithExclusive([&]() -> Status {
      // A started VM cannot be deleted; ours is off, even if its row says otherwise. A missing row
      // is no error.
      (void)registry->Apply(id_, InstanceEvent::kLost);
      return registry->Delete(id_);
    }));
    return registry::RemoveVmDirectory(state_dir(), id_);
  }

 private:
  Status ApplyTo(Registry& registry, InstanceEvent event,
                 const registry::InstanceChanges& changes) override {
    PYRO_RETURN_IF_ERROR(registry.Apply(id_, event, changes));
    return OkStatus();
  }

  InstanceId id_;
};

class SpareFiles : public GuestRecord {
 public:
  SpareFiles(const wire::SupervisorConfig& config, const Clock& clock)
      : directory_(config.directory), pool_(config.spare_pool), clock_(clock) {}

  void Taken() override {
    registry::MarkSpareTaken(directory_);
    registry::TouchSparePool(pool_);
  }

  // As long as its pool, which every client that takes a spare renews.
  std::optional<std::chrono::milliseconds> WaitsFor() const override {
    const auto pool = registry::ReadSparePool(pool_);
    if (!pool) return std::nullopt;
    const auto left = registry::SparePoolExpiry(*pool) - clock_.Now();
    if (left <= std::chrono::milliseconds(0)) return std::nullopt;
    return left;
  }

  Status Started(const wire::Ready&, const std::optional<wire::GuestNetwork>&) override {
    return OkStatus();
  }
  Status Renewed() override { return OkStatus(); }
  Status Stopped() override { return Removed(); }
  Status Lost(const std::string&) override { return Removed(); }
  Status Removed() override { return sys::RemoveTree(directory_); }

 private:
  std::filesystem::path directory_;
  std::filesystem::path pool_;
  const Clock& clock_;
};

}  // namespace

std::unique_ptr<GuestRecord> MakeSpareRecord(const wire::SupervisorConfig& config,
                                             const Clock& clock) {
  return std::make_unique<SpareFiles>(config, clock);
}

std::unique_ptr<GuestRecord> MakeVmRecord(const wire::SupervisorConfig& config,
                                          const Clock& clock) {
  return std::make_unique<VmRow>(config, clock);
}

}  // namespace pyro::supervisor
