// The environments that guests are made of, as calls of the engine need them.

#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/context.h"
#include "environment/builder.h"
#include "environment/store.h"
#include "pyro/engine.h"
#include "vmm/accelerator.h"

namespace pyro::engine {

// The parts from which every guest of an environment starts, ready on this host.
struct GuestParts {
  environment::InstalledEnvironment environment;
  std::filesystem::path initrd;
  vmm::AcceleratorVerdict verdict;
};

// The store with the builder that it borrows. Belongs to one thread.
class Environments {
 public:
  explicit Environments(const Context& context);

  environment::EnvironmentStore& store() { return store_; }
  const environment::Builder& builder() const { return *builder_; }

 private:
  std::unique_ptr<environment::Builder> builder_;
  environment::EnvironmentStore store_;
};

// Installed and found, pulled first if need be.
Result<environment::InstalledEnvironment> EnsureEnvironment(const Context& context,
                                                            const std::string& name,
                                                            const CallIo& io);

// The parts for new guests of an installed environment. The first time on a host it tries the
// accelerators out.
Result<GuestParts> PrepareParts(const Context& context,
                                environment::InstalledEnvironment environment, const CallIo& io);

vmm::AcceleratorOptions AcceleratorOptionsFor(const Context& context);
Result<vmm::AcceleratorVerdict> Accelerator(const Context& context);

}  // namespace pyro::engine
