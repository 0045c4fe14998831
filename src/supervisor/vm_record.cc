// A VM's row, as its supervisor keeps it; and the record of a VM that has none.

#include <utility>

#include "base/try.h"
#include "registry/vm_directory.h"
#include "supervisor/guest_row.h"
#include "sys/files.h"

namespace pyro::supervisor {
namespace {

using registry::Registry;
using registry::VmEvent;

class VmRow : public GuestRow {
 public:
  explicit VmRow(const wire::SupervisorConfig& config)
      : GuestRow(config.state_dir), id_(*VmId::Parse(config.id)) {}

  Status Removed() override {
    PYRO_ASSIGN_OR_RETURN(Registry* const registry, Open());
    PYRO_RETURN_IF_ERROR(registry->WithExclusive([&]() -> Status {
      // A started VM cannot be deleted; ours is off, whatever its row says. Already gone is fine.
      (void)registry->Apply(id_, VmEvent::kLost);
      return registry->DeleteVm(id_);
    }));
    return registry::RemoveVmDirectory(state_dir(), id_);
  }

 private:
  Status ApplyTo(Registry& registry, VmEvent event, const registry::VmChanges& changes) override {
    PYRO_RETURN_IF_ERROR(registry.Apply(id_, event, changes));
    return OkStatus();
  }

  VmId id_;
};

class SpareFiles : public GuestRecord {
 public:
  explicit SpareFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}

  Status Started(const wire::Ready&, const std::optional<wire::GuestNetwork>&) override {
    return OkStatus();
  }
  Status Renewed() override { return OkStatus(); }
  Status Stopped() override { return Removed(); }
  Status Lost(const std::string&) override { return Removed(); }
  Status Removed() override { return sys::RemoveTree(directory_); }

 private:
  std::filesystem::path directory_;
};

}  // namespace

std::unique_ptr<GuestRecord> MakeSpareRecord(const wire::SupervisorConfig& config) {
  return std::make_unique<SpareFiles>(config.directory);
}

std::unique_ptr<GuestRecord> MakeVmRecord(const wire::SupervisorConfig& config) {
  return std::make_unique<VmRow>(config);
}

}  // namespace pyro::supervisor
