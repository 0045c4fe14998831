// Removes the leftovers of leases and crashes. Idempotent; any process may do it at any time.

#pragma once

#include "engine/context.h"
#include "pyro/engine.h"
#include "registry/registry.h"

namespace pyro::engine {

// Checks every VM whose lock is free: removes those of a dead `pyro run` and those whose lease is
// over, and records those that were running as lost. Then removes directories that belong to no VM.
// The next call retries a failed removal.
Result<ReapedVms> Reap(registry::Registry& registry, const Context& context);

// The same for one VM; for the holder of its lock, if it has no guest. True: it was removed.
Result<bool> SettleVm(registry::Registry& registry, const Context& context, const InstanceId& id);

}  // namespace pyro::engine
