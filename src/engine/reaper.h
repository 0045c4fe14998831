// Clears away what leases and crashes leave behind. Idempotent; any process may do it at any time.

#pragma once

#include "engine/context.h"
#include "pyro/engine.h"
#include "registry/registry.h"

namespace pyro::engine {

// Looks at every VM whose lock nobody holds: those of a dead `pyro run` and those whose lease is
// over are removed, those that were running are recorded as lost. Then removes directories that
// belong to no VM. What cannot be removed now is left for the next time.
Result<ReapedVms> Reap(registry::Registry& registry, const Context& context);

// The same for one VM; for the holder of its lock, where no guest answers for it. True: it was
// removed.
Result<bool> SettleVm(registry::Registry& registry, const Context& context, const VmId& id);

}  // namespace pyro::engine
