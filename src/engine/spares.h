// Spares as their users see them: taking one. The pools are in registry/spare_pool.h.

#pragma once

#include <optional>

#include "engine/supervisor_link.h"
#include "engine/vm_files.h"
#include "pyro/engine.h"

namespace pyro::engine {

// A link to a guest that is ready and from now on the caller's alone; it ends with the link.
// nullopt: no spare of that kind waits.
std::optional<SupervisorLink> TakeSpare(const Context& context, const GuestParts& parts,
                                        const VmOptions& options);

}  // namespace pyro::engine
