// The paths of pyro's own programs and files on this host.

#pragma once

#include <filesystem>

#include "pyro/engine.h"
#include "pyro/result.h"

namespace pyro::engine {

// Beside the running program, else in PYRO_LIBEXEC_DIR, else in the directory of an installed pyro.
// kMissingTool.
Result<std::filesystem::path> SupervisorProgram();
// The file of sets of hosts for --allow (net/presets.h), in the same places.
Result<std::filesystem::path> NetworkPresets();
// The file of hosts for --cache (downloads/routes.h), in the same places.
Result<std::filesystem::path> DownloadHosts();
Result<std::filesystem::path> AgentProgram();
// The kernel of guests in user mode.
Result<std::filesystem::path> UsermodeKernel();

}  // namespace pyro::engine
