#pragma once

#include "pyro/engine.h"

namespace pyro {

// Calls share nothing but the directories: each opens what it needs, so that threads need no locks
// and other processes are seen.
class Engine::Impl {
 public:
  explicit Impl(Directories the_directories) : directories(std::move(the_directories)) {}

  const Directories directories;
};

}  // namespace pyro
