// The first state of a sync: what a new task was filled with.

#pragma once

#include "engine/context.h"
#include "engine/instance/supervisor_link.h"
#include "engine/task/task_transfer.h"
#include "pyro/engine.h"

namespace pyro::engine {

// SeedWorkspace(), and of a directory the record of it, so that the task's first sync knows what
// has changed since. Without the record, which is no failure, that sync is one of two strangers.
Status SeedForSync(const Context& context, const InstanceId& id, SupervisorLink& link, Seed seed,
                   const CallIo& io);

}  // namespace pyro::engine
