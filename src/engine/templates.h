// The templates that guests of this host start from.

#pragma once

#include <filesystem>

#include "engine/vm_files.h"
#include "pyro/engine.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {

std::filesystem::path TemplatesDirectory(const Context& context);

// Names the template for a guest that is configured so far, `config.accelerator` included. Whether
// it is there is its supervisor's business. PYRO_WARM_START=0: every guest boots, and none is made.
Status PlanTemplate(const Context& context, const GuestParts& parts,
                    wire::SupervisorConfig& config);

// Makes the template for guests of that size, unless it is there, and tells `io` what it does. For
// those whose disk is a new copy of the image `blank_disk`; if that is empty, for those with
// another. kCancelled; any other failure means that guests boot instead.
Status MakeTemplate(const Context& context, const GuestParts& parts, const VmOptions& options,
                    const std::filesystem::path& blank_disk, const CallIo& io);

// Runs a supervisor's program that works on `directory`, in the foreground: what it says that it
// does is told to `io`, and it is killed if the call is cancelled.
Status RunWorker(const wire::SupervisorConfig& config, const std::string& word,
                 const std::filesystem::path& directory, const CallIo& io);

// Removes templates that cannot be read, and those of environment versions that are not installed
// any more, and adds them to `pruned`.
void PruneTemplates(const Context& context, environment::EnvironmentStore& store,
                    PrunedEnvironments& pruned);

}  // namespace pyro::engine
