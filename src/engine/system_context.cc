// The one file of the engine that knows what is real: everything else works with a Context.

#include <filesystem>
#include <memory>
#include <utility>

#include "engine/context.h"
#include "engine/local_engine.h"
#include "engine/paths.h"
#include "sys/host.h"
#include "vmm/factory.h"

namespace pyro {
namespace engine {

Context SystemContext(Engine::Directories directories) {
  std::filesystem::path cache = directories.cache;
  return {.state = std::move(directories.state),
          .cache = std::move(directories.cache),
          .configuration = std::move(directories.configuration),
          .vmm = vmm::SystemVmm(UsermodeKernel().value_or(std::filesystem::path())),
          .clock = SystemClock(),
          .builder =
              [] {
                return std::make_unique<image::DebianBuilder>(image::ToolPaths{},
                                                              sys::Environment("PYRO_APT_SOURCES"));
              },
          .image_builder =
              [cache = std::move(cache)](image::BuilderGuest& guest) {
                return std::make_unique<image::OciImageBuilder>(cache, image::ToolPaths{}, &guest);
              }};
}

}  // namespace engine

std::unique_ptr<Engine> MakeLocalEngine(Engine::Directories directories) {
  return std::make_unique<engine::LocalEngine>(engine::SystemContext(std::move(directories)));
}

}  // namespace pyro
