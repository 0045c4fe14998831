// The environments that guests are made of, as calls of the engine need them.

#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/context.h"
#include "engine/layer_guest.h"
#include "engine/machine.h"
#include "image/debian/builder.h"
#include "image/store/store.h"
#include "pyro/engine.h"

namespace pyro::engine {

// The parts from which every guest of an environment starts, ready on this host.
struct GuestParts {
  image::InstalledEnvironment environment;
  std::filesystem::path kernel;  // The environment's, or that of guests in user mode.
  std::filesystem::path initrd;
  MachineChoice machine;
};

// The store with the builders that it borrows. Belongs to one thread.
class Environments {
 public:
  // `context` is borrowed.
  explicit Environments(const Context& context);

  Environments(const Environments&) = delete;
  Environments& operator=(const Environments&) = delete;

  image::EnvironmentStore& store() { return store_; }
  const image::Builder& builder() const { return *builder_; }

 private:
  std::unique_ptr<image::Builder> builder_;
  LayerGuest layer_guest_;
  std::unique_ptr<image::ImageBuilder> image_builder_;
  image::EnvironmentStore store_;
};

image::ProgressFn ToProgress(const CallIo& io);

// The name of an environment that is in the catalog or installed, which stands without oci: and
// with a tag. Errors as of EnvironmentStore::Find.
Result<std::string> FindEnvironmentName(const Context& context, const std::string& text);

// There is no such environment; the hint says how to get one of that name, if that is possible.
Error NoEnvironment(const std::string& text);

// Installed and found, pulled first if need be: one of the catalog, or an image that is named with
// oci:.
Result<image::InstalledEnvironment> EnsureEnvironment(const Context& context,
                                                      const std::string& text, const CallIo& io);

// The parts for guests of an installed environment on such a machine. The first time on a host it
// tries the accelerators out.
Result<GuestParts> PrepareParts(const Context& context, image::InstalledEnvironment environment,
                                const MachineWish& wish, const CallIo& io);

// What callers see of an environment of the catalog or an installed one. kNotFound.
Result<EnvironmentInfo> EnvironmentSummaryOf(Environments& environments, const std::string& name);

// Makes the templates of one that was just installed. If they cannot be made, that is told by
// `io.on_notice`. kCancelled.
Status WarmInstalled(const Context& context, const image::InstalledEnvironment& environment,
                     const CallIo& io);

}  // namespace pyro::engine
