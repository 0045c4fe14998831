// A VM's row, as its supervisor keeps it.

#include <utility>

#include "base/try.h"
#include "registry/vm_directory.h"
#include "supervisor/guest_row.h"

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

}  // namespace

std::unique_ptr<GuestRecord> MakeVmRecord(const wire::SupervisorConfig& config) {
  return std::make_unique<VmRow>(config);
}

}  // namespace pyro::supervisor
