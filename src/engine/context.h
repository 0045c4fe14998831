// What every call of the engine works with.

#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/time.h"
#include "image/debian/builder.h"
#include "image/oci/image_builder.h"
#include "pyro/engine.h"
#include "state/registry.h"
#include "vmm/vmm.h"

namespace pyro::engine {

// Where the engine keeps what it has, and what it has of the world. Tests put their own in place of
// each. Used by several threads at once.
struct Context {
  std::filesystem::path state;
  std::filesystem::path cache;
  std::filesystem::path configuration;  // As in Engine::Directories.
  // The monitor that pyro-supervisor runs guests under. The engine starts none itself.
  vmm::VmmFactory vmm;
  const Clock& clock;  // Borrowed.
  // Each makes a builder for one thread.
  std::function<std::unique_ptr<image::Builder>()> builder;
  // `guest` is borrowed by what it makes.
  std::function<std::unique_ptr<image::ImageBuilder>(image::BuilderGuest& guest)> image_builder;
  std::filesystem::path kvm_device = "/dev/kvm";
  std::chrono::milliseconds slow{10'000};  // The time of a command after which advice is worth it.
};

// With this host's own monitor, clock and package tools.
Context SystemContext(Engine::Directories directories);

Result<state::Registry> OpenRegistry(const Context& context);

// True if the request is valid but no guest can run on this host now: the case for
// allow_host_compat.
bool MeansNoGuest(const Error& error);

// The warning for every command that runs on the host.
std::string HostCompatNotice(const Error& why);

}  // namespace pyro::engine
