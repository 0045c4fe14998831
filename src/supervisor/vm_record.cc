#include "supervisor/guest_record.h"

#include <utility>

#include "base/json.h"
#include "base/time.h"
#include "base/try.h"
#include "registry/registry.h"
#include "registry/vm_directory.h"
#include "supervisor/network_json.h"

namespace pyro::supervisor {
namespace {

using registry::VmEvent;

class VmRow : public GuestRecord {
 public:
  explicit VmRow(const wire::SupervisorConfig& config)
      : id_(*VmId::Parse(config.id)), state_dir_(config.state_dir) {}

  Status Started(const wire::Ready& ready,
                 const std::optional<wire::GuestNetwork>& network) override {
    registry::VmChanges changes;
    changes.execution_mode = registry::ExecutionMode::kGuestVirtioSerial;
    changes.accelerator = ready.accelerator;
    changes.network_json = network ? ToJsonLine(NetworkJson(*network)) : "";
    return Apply(VmEvent::kStart, changes);
  }

  Status Renewed() override { return Apply(VmEvent::kRenew, {}); }
  Status Stopped() override { return Apply(VmEvent::kStop, {}); }

  Status Lost(const std::string& why) override {
    registry::VmChanges changes;
    changes.last_error = why.substr(0, 2000);
    return Apply(VmEvent::kLost, changes);
  }

  Status Removed() override {
    PYRO_RETURN_IF_ERROR(Open());
    PYRO_RETURN_IF_ERROR(registry_->WithExclusive([this]() -> Status {
      // A started VM cannot be deleted; ours is off, whatever its row says. Already gone is fine.
      (void)registry_->Apply(id_, VmEvent::kLost);
      return registry_->DeleteVm(id_);
    }));
    return registry::RemoveVmDirectory(state_dir_, id_);
  }

 private:
  Status Open() {
    if (registry_) return OkStatus();
    PYRO_ASSIGN_OR_RETURN(registry::Registry registry,
                          registry::Registry::Open(state_dir_, SystemClock()));
    registry_.emplace(std::move(registry));
    return OkStatus();
  }

  Status Apply(VmEvent event, const registry::VmChanges& changes) {
    PYRO_RETURN_IF_ERROR(Open());
    PYRO_RETURN_IF_ERROR(registry_->Apply(id_, event, changes));
    return OkStatus();
  }

  VmId id_;
  std::filesystem::path state_dir_;
  std::optional<registry::Registry> registry_;
};

}  // namespace

std::unique_ptr<GuestRecord> MakeVmRecord(const wire::SupervisorConfig& config) {
  return std::make_unique<VmRow>(config);
}

}  // namespace pyro::supervisor
