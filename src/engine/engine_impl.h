#pragma once

#include <utility>

#include "engine/context.h"
#include "pyro/engine.h"

namespace pyro {

// Calls share nothing but the context: each opens what it needs, so that threads need no locks
// and other processes are seen.
class Engine::Impl {
 public:
  explicit Impl(engine::Context the_context) : context(std::move(the_context)) {}

  const engine::Context context;
};

}  // namespace pyro
