#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/time.h"
#include "base/try.h"
#include "engine/context.h"
#include "engine/environments.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/templates.h"
#include "engine/local_engine.h"
#include "engine/paths.h"
#include "image/initramfs/initramfs.h"
#include "image/store/catalog.h"
#include "sys/host.h"
#include "vmm/template.h"

namespace pyro::engine {
namespace {

EnvironmentInfo ToEnvironmentInfo(const image::EnvironmentSummary& summary) {
  EnvironmentInfo info;
  info.name = summary.name;
  info.description = summary.description;
  info.installed = summary.state == image::InstallState::kInstalled;
  info.broken = summary.state == image::InstallState::kBroken;
  info.outdated = summary.outdated;
  info.digest = summary.digest;
  info.installed_at = summary.built_at;
  info.size_bytes = summary.size_bytes;
  return info;
}

image::ProgressFn ToProgress(const CallIo& io) {
  return [&io](const image::PullProgress& progress) {
    if (io.on_progress) {
      io.on_progress(progress.phase, progress.detail, progress.fraction.value_or(-1));
    }
  };
}

Result<EnvironmentInfo> Summary(Environments& environments, const std::string& name) {
  for (const auto& summary : environments.store().List()) {
    if (summary.name == name) return ToEnvironmentInfo(summary);
  }
  return MakeError(ErrorCode::kNotFound, fmt::format("there is no environment '{}'", name),
                   "'pyro env list' lists them");
}

std::string DescribeFile(const image::FileRecord& file) {
  return fmt::format("{} {} {}", file.name, file.size, file.sha256);
}

}  // namespace

Environments::Environments(const Context& context)
    : builder_(context.builder()),
      image_builder_(context.image_builder()),
      store_(context.cache, *builder_, *image_builder_) {}

Result<image::InstalledEnvironment> EnsureEnvironment(const Context& context,
                                                      const std::string& name, const CallIo& io) {
  Environments environments(context);
  auto found = environments.store().Find(name);
  if (found) return found;
  PYRO_RETURN_IF_ERROR(image::FindCatalogEntry(name));
  PYRO_ASSIGN_OR_RETURN(image::PullResult pulled,
                        environments.store().Pull({.source = name}, image::PullMode::kIfNeeded,
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

namespace {

// For new guests, and for tasks that start again.
Status MakeUsualTemplates(const Context& context, const image::InstalledEnvironment& environment,
                          const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(const MachineWish wish, WishOf(context, VmOptions()));
  PYRO_ASSIGN_OR_RETURN(const GuestParts parts, PrepareParts(context, environment, wish, {}));
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path blank, BlankDisk(context));
  PYRO_RETURN_IF_ERROR(MakeTemplate(context, parts, VmOptions(), blank, io));
  return MakeTemplate(context, parts, VmOptions(), {}, io);
}

}  // namespace

Result<std::vector<EnvironmentInfo>> LocalEngine::ListEnvironments() {
  Environments environments(context_);
  std::vector<EnvironmentInfo> list;
  for (const auto& summary : environments.store().List())
    list.push_back(ToEnvironmentInfo(summary));
  return list;
}

Result<PulledEnvironment> LocalEngine::PullEnvironment(const std::string& name, const CallIo& io) {
  Environments environments(context_);
  PYRO_ASSIGN_OR_RETURN(const image::PullResult pulled,
                        environments.store().Pull({.source = name}, image::PullMode::kIfNeeded,
                                                  ToProgress(io), {io.cancel_fd}));
  // Guests also start without a template, only slower; so a pull does not fail for it.
  const Status made = MakeUsualTemplates(context_, pulled.environment, io);
  if (!made && made.error().code == ErrorCode::kCancelled) return made.error();
  if (!made && io.on_notice) {
    io.on_notice("guests will boot instead of starting warm: " + made.error().message);
  }
  PYRO_ASSIGN_OR_RETURN(EnvironmentInfo info, Summary(environments, name));
  return PulledEnvironment{std::move(info), pulled.built};
}

Result<EnvironmentDetails> LocalEngine::InspectEnvironment(const std::string& name, Verify verify) {
  Environments environments(context_);
  PYRO_ASSIGN_OR_RETURN(
      const image::InstalledEnvironment installed,
      environments.store().Inspect(
          name, verify == Verify::kYes ? image::CheckDepth::kDigests : image::CheckDepth::kSizes));
  EnvironmentDetails details;
  PYRO_ASSIGN_OR_RETURN(details.info, Summary(environments, name));
  const image::Manifest& manifest = installed.manifest;
  details.kernel_release = manifest.kernel_release;
  details.kernel_package = manifest.kernel_package + " " + manifest.kernel_package_version;
  details.directory = installed.directory;
  details.files = {DescribeFile(manifest.base), DescribeFile(manifest.kernel)};
  for (const auto& module : manifest.modules) details.modules.push_back(DescribeFile(module));
  for (const auto& package : manifest.packages) {
    details.packages.push_back(package.name + " " + package.version);
  }
  details.apt_sources = manifest.apt_sources;
  for (const auto& [tool, version] : manifest.tools) details.tools.push_back(tool + " " + version);
  for (const auto& found : vmm::ListTemplates(TemplatesDirectory(context_))) {
    const vmm::TemplateFacts& facts = found.facts;
    if (found.broken || facts.environment_digest != installed.digest) continue;
    details.templates.push_back({facts.vcpu_count, facts.mem_mib, facts.network, facts.new_disk,
                                 found.bytes, facts.made_at,
                                 FormatTime(WallTime(std::chrono::seconds(found.last_used)))});
  }
  return details;
}

Result<PrunedEnvironments> LocalEngine::PruneEnvironments(PruneScope scope) {
  PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenRegistry(context_));
  PYRO_ASSIGN_OR_RETURN(const std::set<std::string> in_use, registry.DigestsInUse());
  Environments environments(context_);
  PYRO_ASSIGN_OR_RETURN(
      const image::PruneReport report,
      environments.store().Prune(
          scope == PruneScope::kAll ? image::PruneScope::kAll : image::PruneScope::kLeftovers,
          in_use));
  PrunedEnvironments pruned;
  pruned.bytes_freed = report.bytes_freed;
  pruned.skipped = report.skipped;
  for (const auto& item : report.removed) {
    pruned.removed.push_back({item.name, item.what, item.digest, item.bytes});
  }
  PruneTemplates(context_, environments.store(), pruned);
  return pruned;
}

}  // namespace pyro::engine
