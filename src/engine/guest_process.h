// The supervisor of a guest, as seen from outside: starting one, and finding out who answers for a
// VM or a task.

#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "engine/supervisor_link.h"
#include "engine/vm_files.h"
#include "pyro/engine.h"
#include "sys/child_process.h"
#include "sys/file_lock.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {

// Where a guest's lock and socket are.
struct GuestPlace {
  std::filesystem::path lock;
  std::filesystem::path socket;
};

// Either the lock, and with it everything of that guest, or a link to the supervisor that holds it.
struct Held {
  std::optional<sys::FileLock> lock;
  std::optional<SupervisorLink> link;
};

// kNotFound: its directory is gone. kTimedOut: somebody holds it and does not answer.
Result<Held> TakeOver(const GuestPlace& place);

// Fills in what comes from `parts` and this host: programs, files, accelerator, template.
Status ConfigureSupervisor(const Context& context, const GuestParts& parts,
                           wire::SupervisorConfig& config);

// Runs the supervisor's program with a configuration. `options` has its words, of which the first
// is set here, its output, and what it is passed.
Result<sys::ChildProcess> SpawnSupervisor(sys::SpawnOptions options,
                                          const wire::SupervisorConfig& config);

// `config` needs its guest's own fields only; what comes from `parts` and this host is filled in.
// Returns once clients can connect; from then on the supervisor holds the lock and answers for the
// guest.
Status StartSupervisor(const Context& context, const GuestParts& parts,
                       wire::SupervisorConfig config, const sys::FileLock& lock);

}  // namespace pyro::engine
