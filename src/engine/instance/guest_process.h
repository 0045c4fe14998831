// The supervisor of a guest, from outside: starting one, and finding the owner of a VM or a task.

#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "engine/context.h"
#include "engine/environments.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/engine.h"
#include "sys/child_process.h"
#include "sys/file_lock.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {

// The paths of a guest's lock and socket.
struct GuestPlace {
  std::filesystem::path lock;
  std::filesystem::path socket;
};

// Either the lock, and with it the ownership of that guest, or a link to the supervisor that holds
// it.
struct Held {
  std::optional<sys::FileLock> lock;
  std::optional<SupervisorLink> link;
};

// kNotFound: its directory is gone. kTimedOut: another process holds it and does not answer.
Result<Held> TakeOver(const GuestPlace& place);

// Fills in the fields from `parts` and this host: programs, files, accelerator, template.
Status ConfigureSupervisor(const Context& context, const GuestParts& parts,
                           wire::SupervisorConfig& config);

// Runs the supervisor's program with a configuration. `options` has its words (the first is set
// here), its output and its descriptors.
Result<sys::ChildProcess> SpawnSupervisor(sys::SpawnOptions options,
                                          const wire::SupervisorConfig& config);

// `config` needs its guest's own fields only; the fields from `parts` and this host are filled in.
// Returns once clients can connect; from then on the supervisor holds the lock and owns the guest.
Status StartSupervisor(const Context& context, const GuestParts& parts,
                       wire::SupervisorConfig config, const sys::FileLock& lock);

}  // namespace pyro::engine
