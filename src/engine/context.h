// What every call of the engine works with.

#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/time.h"
#include "environment/builder.h"
#include "pyro/engine.h"
#include "registry/registry.h"
#include "vmm/vmm.h"

namespace pyro::engine {

// Where the engine keeps what it has, and what it has of the world. Tests put their own in place of
// each. Used by several threads at once.
struct Context {
  std::filesystem::path state;
  std::filesystem::path cache;
  // The monitor that pyro-supervisor runs guests under. The engine starts none itself.
  vmm::VmmFactory vmm;
  const Clock& clock;  // Borrowed.
  // Makes a builder for one thread.
  std::function<std::unique_ptr<environment::Builder>()> builder;
};

// With this host's own monitor, clock and package tools.
Context SystemContext(Engine::Directories directories);

Result<registry::Registry> OpenRegistry(const Context& context);

// True for failures that leave no doubt of the request but mean that no guest is to be had here and
// now: what allow_host_compat is for.
bool MeansNoGuest(const Error& error);

// The notice that goes with every command run on the host.
std::string HostCompatNotice(const Error& why);

}  // namespace pyro::engine
