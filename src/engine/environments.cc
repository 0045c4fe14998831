#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/context.h"
#include "engine/environments.h"
#include "engine/limits.h"
#include "engine/paths.h"
#include "image/initramfs/initramfs.h"
#include "image/oci/source.h"
#include "image/store/catalog.h"
#include "sys/host.h"

namespace pyro::engine {
namespace {

const std::string kRegistryPrefix = "oci:";

bool IsOfRegistry(const std::string& text) {
  const auto source = image::ParseImageSource(text);
  return source && source->transport == image::Transport::kRegistry;
}

}  // namespace

image::ProgressFn ToProgress(const CallIo& io) {
  return [&io](const image::PullProgress& progress) {
    if (io.on_progress) {
      io.on_progress(progress.phase, progress.detail, progress.fraction.value_or(-1));
    }
  };
}

Environments::Environments(const Context& context)
    : builder_(context.builder()),
      layer_guest_(context),
      image_builder_(context.image_builder(layer_guest_)),
      store_(context.cache, *builder_, *image_builder_) {}

Result<std::string> FindEnvironmentName(const Context& context, const std::string& text) {
  Environments environments(context);
  const auto found = environments.store().Find(text);
  if (found) return found->name;
  if (image::FindCatalogEntry(text)) return text;
  return found.error().code == ErrorCode::kNotFound ? NoEnvironment(text) : found.error();
}

Error NoEnvironment(const std::string& text) {
  const bool names_source = image::IsImageSource(text);
  const auto source = image::ParseImageSource(names_source ? text : kRegistryPrefix + text);
  if (source) {
    const bool of_registry = source->transport == image::Transport::kRegistry;
    const std::string pull = "pyro env pull " + ShellJoin({image::FormatImageSource(*source)});
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the environment '{}' is not installed", Printable(text, 300)),
        of_registry ? "if it is an image: " + pull : "install it under a name: " + pull);
  }
  const auto entry = image::FindCatalogEntry(text);
  if (names_source) return source.error();
  return entry ? MakeError(ErrorCode::kNotFound,
                           fmt::format("the environment '{}' is not installed", text),
                           "pyro env pull " + text)
               : entry.error();
}

Result<image::InstalledEnvironment> EnsureEnvironment(const Context& context,
                                                      const std::string& text, const CallIo& io) {
  Environments environments(context);
  auto found = environments.store().Find(text);
  if (found) return found;
  const bool of_catalog = image::FindCatalogEntry(text).ok();
  const bool of_registry = image::IsImageSource(text) && IsOfRegistry(text);
  if (!of_catalog && !of_registry) {
    if (found.error().code == ErrorCode::kNotFound) return NoEnvironment(text);
    return found;
  }
  PYRO_RETURN_IF_ERROR(CheckDisk(context));
  image::PullRequest request;
  request.source = text;
  PYRO_ASSIGN_OR_RETURN(image::PullResult pulled,
                        environments.store().Pull(request, image::PullMode::kIfNeeded,
                                                  ToProgress(io), {io.cancel_fd}));
  return std::move(pulled.environment);
}

Result<GuestParts> PrepareParts(const Context& context, image::InstalledEnvironment environment,
                                const MachineWish& wish, const CallIo& io) {
  if (io.on_progress) io.on_progress("prepare", "", -1);
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path agent, AgentProgram());
  PYRO_ASSIGN_OR_RETURN(MachineChoice machine, ChooseMachine(context, wish));
  image::InstalledEnvironment booted = environment;
  if (machine.accelerator == vmm::Accelerator::kUsermode) {
    PYRO_ASSIGN_OR_RETURN(booted.kernel, UsermodeKernel());
    booted.modules.clear();
    booted.manifest.modules.clear();
  }
  PYRO_ASSIGN_OR_RETURN(std::filesystem::path initrd, image::EnsureInitramfs(booted, agent));
  return GuestParts{.environment = std::move(environment),
                    .kernel = std::move(booted.kernel),
                    .initrd = std::move(initrd),
                    .machine = std::move(machine)};
}

}  // namespace pyro::engine
