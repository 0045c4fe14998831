#include "supervisor/guest_row.h"

#include <utility>

#include "base/json.h"
#include "base/try.h"
#include "supervisor/network_json.h"

namespace pyro::supervisor {

namespace {

using registry::VmChanges;
using registry::VmEvent;

constexpr std::size_t kMaxErrorBytes = 2000;

}  // namespace

Status GuestRow::Started(const wire::Ready& ready,
                         const std::optional<wire::GuestNetwork>& network) {
  VmChanges changes;
  changes.execution_mode = registry::ExecutionMode::kGuestVirtioSerial;
  changes.accelerator = ready.accelerator;
  changes.network_json = network ? ToJsonLine(NetworkJson(*network)) : "";
  return Apply(VmEvent::kStart, changes);
}

Status GuestRow::Renewed() { return Apply(VmEvent::kRenew, {}); }
Status GuestRow::Stopped() { return Apply(VmEvent::kStop, {}); }

Status GuestRow::Lost(const std::string& why) {
  VmChanges changes;
  changes.last_error = why.substr(0, kMaxErrorBytes);
  return Apply(VmEvent::kLost, changes);
}

Result<registry::Registry*> GuestRow::Open() {
  if (!registry_) {
    PYRO_ASSIGN_OR_RETURN(registry::Registry registry,
                          registry::Registry::Open(state_dir_, clock_));
    registry_.emplace(std::move(registry));
  }
  return &*registry_;
}

Status GuestRow::Apply(VmEvent event, const VmChanges& changes) {
  PYRO_ASSIGN_OR_RETURN(registry::Registry* const registry, Open());
  return ApplyTo(*registry, event, changes);
}

}  // namespace pyro::supervisor
