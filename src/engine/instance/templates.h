// The templates that guests of this host start from.

#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "engine/context.h"
#include "engine/environments.h"
#include "pyro/engine.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {

// The name of what depends on these inputs: the directory of a template, or of a pool of spares.
std::string NameOfKey(const std::string& key);

std::filesystem::path TemplatesDirectory(const Context& context);

// Names the template for a guest with this configuration, including `config.accelerator`. The
// supervisor checks if it exists. PYRO_WARM_START=0: every guest boots, and no template is made. A
// guest in user mode has a key, for its spares, and no template.
Status PlanTemplate(const Context& context, const GuestParts& parts,
                    wire::SupervisorConfig& config);

// Makes the template for guests of that size if it is missing, and reports progress to `io`. It is
// for guests whose disk is a new copy of the image `blank_disk`; if that is empty, for guests with
// another disk. kCancelled; after any other failure guests boot instead.
Status MakeTemplate(const Context& context, const GuestParts& parts, const VmOptions& options,
                    const std::filesystem::path& blank_disk, const CallIo& io);

// Runs a supervisor's program that works on `directory`, in the foreground. Reports its progress to
// `io`, and kills it if the call is cancelled.
Status RunWorker(const wire::SupervisorConfig& config, const std::string& word,
                 const std::filesystem::path& directory, const CallIo& io);

// Whose templates go: of environment versions that are not installed any more, those that cannot be
// read, and of `agents`: those that no guest of the installed agents starts from.
struct TemplatesToPrune {
  bool agents = false;
  bool dry = false;                          // Remove none, and add what would be.
  std::set<std::string> gone_versions = {};  // NAME DIGEST of those to take for removed.
};

// Adds what it removed to `pruned`.
void PruneTemplates(const Context& context, image::EnvironmentStore& store,
                    const TemplatesToPrune& which, PrunedEnvironments& pruned);

}  // namespace pyro::engine
