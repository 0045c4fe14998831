#include "supervisor/guest_row.h"

#include <utility>

#include "base/json.h"
#include "base/try.h"
#include "supervisor/network_json.h"

namespace pyro::supervisor {

namespace {

using registry::InstanceChanges;
using registry::InstanceEvent;

constexpr std::size_t kMaxErrorBytes = 2000;

}  // namespace

Status GuestRow::Started(const wire::Ready& ready,
                         const std::optional<wire::GuestNetwork>& network) {
  InstanceChanges changes;
  changes.execution_mode = ExecutionMode::kGuestVirtioSerial;
  changes.accelerator = ready.accelerator;
  changes.network_json = network ? ToJsonLine(NetworkJson(*network)) : "";
  return Apply(InstanceEvent::kStart, changes);
}

Status GuestRow::Renewed() { return Apply(InstanceEvent::kRenew, {}); }
Status GuestRow::Stopped() { return Apply(InstanceEvent::kStop, {}); }

Status GuestRow::Lost(const std::string& why) {
  InstanceChanges changes;
  changes.last_error = why.substr(0, kMaxErrorBytes);
  return Apply(InstanceEvent::kLost, changes);
}

Result<registry::Registry*> GuestRow::Open() {
  if (!registry_) {
    PYRO_ASSIGN_OR_RETURN(registry::Registry registry,
                          registry::Registry::Open(state_dir_, clock_));
    registry_.emplace(std::move(registry));
  }
  return &*registry_;
}

Status GuestRow::Apply(InstanceEvent event, const InstanceChanges& changes) {
  PYRO_ASSIGN_OR_RETURN(registry::Registry* const registry, Open());
  return ApplyTo(*registry, event, changes);
}

}  // namespace pyro::supervisor
