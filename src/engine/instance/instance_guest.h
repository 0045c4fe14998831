// The guest of an instance: starting it, taking it over, ending it.

#pragma once

#include <chrono>
#include <filesystem>
#include <optional>

#include "engine/instance/guest_process.h"
#include "engine/instance/instance_files.h"
#include "pyro/engine.h"
#include "state/registry.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {

// Longer than the supervisor's own limit for a boot.
inline constexpr std::chrono::seconds kReadyLimit{180};

GuestPlace PlaceOf(const Context& context, const InstanceId& id);

// The supervisor's configuration of the instance itself.
wire::SupervisorConfig SupervisorOf(const Context& context, const state::InstanceRecord& instance);

// Starts a supervisor for an instance whose lock we hold, with the environment's version that it
// was made with, on the machine that it remembers. Returns a link; its guest may not be ready yet.
// `blank`: the image that its disk is a new copy of, or empty.
Result<SupervisorLink> StartGuest(const Context& context, const state::InstanceRecord& instance,
                                  const sys::FileLock& lock, const std::filesystem::path& blank,
                                  const CallIo& io);

// An instance as it is now, and either a link to its guest, or its lock: then it has none.
struct Taken {
  state::InstanceRecord instance;
  std::optional<SupervisorLink> link;
  std::optional<sys::FileLock> lock;
};
// Errors as for TakeOver. kNotFound also: it was removed meanwhile.
Result<Taken> Take(const Context& context, Found& found);

// Ends the guest and records that. kWrongState: it never started.
Status StopGuest(const Context& context, state::Registry& registry, const InstanceId& id);

// Ends all processes of the instance and removes all its files. Works in any state, and a second
// time.
Status DeleteEverywhere(const Context& context, state::Registry& registry, const InstanceId& id);

}  // namespace pyro::engine
