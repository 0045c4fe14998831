// What every use case of the engine stands on.

#pragma once

#include <chrono>

#include "base/time.h"
#include "engine/vm_files.h"
#include "environment/store.h"
#include "pyro/engine.h"
#include "registry/registry.h"

namespace pyro::engine {

// The store with the builder that it borrows. Belongs to one thread.
class Environments {
 public:
  explicit Environments(const Engine::Directories& directories);

  environment::EnvironmentStore& store() { return store_; }
  const environment::DebianBuilder& builder() const { return builder_; }

 private:
  environment::DebianBuilder builder_;
  environment::EnvironmentStore store_;
};

// Installed and found, pulled first if need be.
Result<environment::InstalledEnvironment> EnsureEnvironment(const Engine::Directories& directories,
                                                            const std::string& name,
                                                            const CallIo& io);

// The parts for new guests of an installed environment. The first time on a host it tries the
// accelerators out.
Result<GuestParts> PrepareParts(const Engine::Directories& directories,
                                environment::InstalledEnvironment environment, const CallIo& io);

Result<vmm::AcceleratorVerdict> Accelerator(const Engine::Directories& directories);

Result<registry::Registry> OpenRegistry(const Engine::Directories& directories);

// True for failures that leave no doubt of the request but mean that no guest is to be had here and
// now: what allow_host_compat is for.
bool MeansNoGuest(const Error& error);

// The notice that goes with every command run on the host.
std::string HostCompatNotice(const Error& why);

}  // namespace pyro::engine
