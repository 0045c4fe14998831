// Claiming spares. The pools are in state/pool/spare_pool.h.

#pragma once

#include <optional>

#include "engine/context.h"
#include "engine/environments.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/engine.h"

namespace pyro::engine {

// A link to a ready guest, of which the caller is now the only owner; it ends with the link.
// nullopt: no spare of that kind waits.
std::optional<SupervisorLink> TakeSpare(const Context& context, const GuestParts& parts,
                                        const VmOptions& options);

}  // namespace pyro::engine
