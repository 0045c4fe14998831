// Starting a further process of this program.

#pragma once

#include <string>

#include "pyro/result.h"
#include "sys/child_process.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// `options` has its output and what it is passed; `word`, and the name of the directory it works
// on, are for whoever looks at the list of processes.
Result<sys::ChildProcess> StartProgram(sys::SpawnOptions options,
                                       const wire::SupervisorConfig& config,
                                       const std::string& word = {});

// One that belongs to nobody. Failing is silent: nobody waits for it.
void StartDetached(const std::string& word, wire::SupervisorConfig config);

}  // namespace pyro::supervisor
