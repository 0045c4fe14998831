// The row of a guest in registry.db: the common part of a VM's record and a task's record.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "base/time.h"
#include "registry/registry.h"
#include "supervisor/guest_record.h"

namespace pyro::supervisor {

class GuestRow : public GuestRecord {
 public:
  Status Started(const wire::Ready& ready,
                 const std::optional<wire::GuestNetwork>& network) override;
  Status Renewed() override;
  Status Stopped() override;
  Status Lost(const std::string& why) override;

 protected:
  GuestRow(std::filesystem::path state_dir, const Clock& clock)
      : state_dir_(std::move(state_dir)), clock_(clock) {}

  const std::filesystem::path& state_dir() const { return state_dir_; }
  const Clock& clock() const { return clock_; }

  // Opened at the first use; after an error, tried again at the next.
  Result<registry::Registry*> Open();

  // Tasks and VMs change by the same events.
  virtual Status ApplyTo(registry::Registry& registry, registry::InstanceEvent event,
                         const registry::InstanceChanges& changes) = 0;

 private:
  Status Apply(registry::InstanceEvent event, const registry::InstanceChanges& changes);

  std::filesystem::path state_dir_;
  const Clock& clock_;
  std::optional<registry::Registry> registry_;
};

}  // namespace pyro::supervisor
