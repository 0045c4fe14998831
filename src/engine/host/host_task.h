// Tasks that run on the host, if the caller allowed it and no guest can start.

#pragma once

#include <string>

#include "engine/context.h"
#include "pyro/engine.h"
#include "state/registry.h"
#include "wire/messages.h"

namespace pyro::engine {

// `why`: the reason why no guest can start.
Result<TaskInfo> CreateHostTask(const Context& context, const TaskOptions& options,
                                const Error& why, const CallIo& io);

// For the holder of the task's lock. The lock shows that the command has not crashed, so only one
// runs at a time.
Result<TaskExecResult> ExecOnHost(const Context& context, state::Registry& registry,
                                  const state::InstanceRecord& task, const wire::Exec& exec,
                                  const CallIo& io);

}  // namespace pyro::engine
