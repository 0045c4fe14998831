// Starting a further process of this program.

#pragma once

#include <string>

#include "pyro/result.h"
#include "sys/child_process.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// `options` has its output and its descriptors. `word`, and the name of its directory, are for
// people who read the list of processes.
Result<sys::ChildProcess> StartProgram(sys::SpawnOptions options,
                                       const wire::SupervisorConfig& config,
                                       const std::string& word = {});

// One without an owner. A failure is silent, because no process waits for it.
void StartDetached(const std::string& word, wire::SupervisorConfig config);

}  // namespace pyro::supervisor
