// The template that a guest starts from, or those that are made because they are missing.

#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "supervisor/helpers.h"
#include "supervisor/timers.h"
#include "vmm/vmm.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// A template is never the reason for an error: if it has any fault, the guest boots, and a new one
// is made. So is the one from which the guest will start again. Making one takes the host's CPUs,
// so it waits until the guest is idle or has ended. Belongs to the loop's thread.
class TemplateUse {
 public:
  // All are borrowed. `idle`: no command runs in the guest.
  TemplateUse(const wire::SupervisorConfig& config, Timers& timers, Helpers& helpers,
              std::function<bool()> idle)
      : config_(config), helpers_(helpers), idle_(std::move(idle)), delay_(timers.NewTimer()) {}

  // The template to start from. nullopt: boot.
  std::optional<vmm::FrozenGuest> Find();

  // The guest goes on from the template that was found; otherwise it boots.
  bool warm() const { return warm_; }

  // The guest did not start from it, and boots now.
  void Failed();

  // The guest takes commands. One that ends with its first command has a template made then, as
  // no client waits for that.
  void GuestIsReady(bool ends_with_its_command);

  // Makes a template that is due. A guest that never took commands is no reason to make one.
  void GuestEnded();

 private:
  void MakeWhenIdle();
  void Make();

  const wire::SupervisorConfig& config_;
  Helpers& helpers_;
  std::function<bool()> idle_;
  std::unique_ptr<Timer> delay_;
  bool warm_ = false;
  bool bad_ = false;     // To be removed once the guest has booted without it.
  bool wanted_ = false;  // This one or the next is missing or damaged.
  bool booted_ = false;
};

}  // namespace pyro::supervisor
