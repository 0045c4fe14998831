// Freeing what nothing needs and what can be made again.

#pragma once

#include <functional>
#include <set>
#include <string>

#include "engine/context.h"
#include "image/store/store.h"
#include "pyro/engine.h"
#include "state/registry.h"

namespace pyro::engine {

// As Engine::CollectGarbage(). Each part is safe against a kill at any point, and against any
// number of other calls at once.
Result<GarbageReport> CollectGarbage(const Context& context, Engine::DryRun dry_run);

// For a prune: no instance can be made of another version while it retires one. `in_use`: the
// digests that must stay; empty: Registry::DigestsInUse().
image::RetireGuard GuardOf(state::Registry& registry,
                           std::function<Result<std::set<std::string>>()> in_use = {});

}  // namespace pyro::engine
