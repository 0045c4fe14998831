// Tasks that run on the host, for those who asked for it where no guest is to be had.

#pragma once

#include <string>

#include "pyro/engine.h"
#include "registry/registry.h"
#include "wire/messages.h"

namespace pyro::engine {

// `why`: what kept a guest from being had.
Result<TaskInfo> CreateHostTask(const Context& context, const TaskOptions& options,
                                const Error& why, const CallIo& io);

// For the holder of the task's lock, which is what keeps the command from being taken for a crashed
// one: so one runs at a time.
Result<TaskExecResult> ExecOnHost(const Context& context, registry::Registry& registry,
                                  const registry::TaskRecord& task, const wire::Exec& exec,
                                  const CallIo& io);

}  // namespace pyro::engine
