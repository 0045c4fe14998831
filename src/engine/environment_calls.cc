// The calls about environments.

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/time.h"
#include "base/try.h"
#include "engine/context.h"
#include "engine/download_cache.h"
#include "engine/environments.h"
#include "engine/garbage.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/templates.h"
#include "engine/limits.h"
#include "engine/local_engine.h"
#include "image/oci/source.h"
#include "image/store/catalog.h"
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
  info.last_used_at = summary.last_used_at;
  info.source = summary.source;
  info.image_digest = summary.source_digest;
  return info;
}

ImageInfo ToImageInfo(const image::ImageRecord& record) {
  ImageInfo info;
  info.source = record.source;
  info.source_digest = record.source_digest;
  info.manifest_digest = record.manifest_digest;
  info.layers = record.layers;
  info.layer_bytes = record.layer_bytes;
  info.architecture = record.config.architecture;
  info.env = record.config.env;
  info.working_dir = record.config.working_dir;
  info.user = record.config.user;
  info.entrypoint = record.config.entrypoint;
  info.command = record.config.command;
  info.stop_signal = record.config.stop_signal;
  info.left_out = record.left_out;
  return info;
}

CommitInfo ToCommitInfo(const image::CommitRecord& record) {
  CommitInfo info;
  info.task_id = record.task_id;
  info.task_name = record.task_name;
  info.environment = record.environment;
  info.environment_digest = record.environment_digest;
  info.committed_at = record.committed_at;
  info.workspace = record.workspace;
  for (const image::CommitStep& step : record.steps) {
    info.commands.push_back({step.sequence, step.command, step.cwd, step.user, step.outcome,
                             step.exit_code, step.started_at});
  }
  info.more_commands = record.more_steps;
  return info;
}

// What is to be pulled: a name of the catalog, a source, or an installed image from its own source.
Result<image::PullRequest> ToPull(Environments& environments,
                                  const PullEnvironmentRequest& request) {
  image::PullRequest pull;
  pull.source = request.environment;
  pull.name = request.name;
  pull.fetch.authfile = request.authfile;
  pull.fetch.plain_http = request.plain_http;
  const bool of_catalog = image::FindCatalogEntry(pull.source).ok();
  const bool any = !pull.name.empty() || !pull.fetch.authfile.empty() || pull.fetch.plain_http;
  if (of_catalog && any) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' is built on this host, and takes none of name, authfile and plain_http",
                    pull.source),
        "they are for images, as in: pyro env pull --name app oci:registry.example/team/app:1");
  }
  if (of_catalog || image::IsImageSource(pull.source)) return pull;
  const auto found = environments.store().Find(pull.source);
  if (!found && found.error().code == ErrorCode::kNotFound) return NoEnvironment(pull.source);
  if (!found) return found.error();
  if (found->manifest.commit) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' was committed from a task: there is no source to pull it from",
                    found->name),
        "pyro env commit TASK NAME makes another version of it");
  }
  if (!found->manifest.image) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' was tagged from the catalog: there is no source to pull it from",
                    found->name),
        "pull the environment of the catalog, then tag it again");
  }
  pull.source = found->manifest.image->source;
  if (pull.name.empty()) pull.name = found->name;
  return pull;
}

std::string DescribeFile(const image::FileRecord& file) {
  return fmt::format("{} {} {}", file.name, file.size, file.sha256);
}

// The versions of that environment that a VM or a task was made with. Another name of the same
// image does not count.
Result<std::set<std::string>> VersionsInUse(state::Registry& registry, const std::string& name) {
  std::set<std::string> digests;
  for (const InstanceKind kind : {InstanceKind::kVm, InstanceKind::kTask}) {
    PYRO_ASSIGN_OR_RETURN(const auto instances, registry.List(kind));
    for (const state::InstanceRecord& one : instances) {
      if (one.environment == name) digests.insert(one.environment_digest);
    }
  }
  return digests;
}

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

Result<EnvironmentInfo> EnvironmentSummaryOf(Environments& environments, const std::string& name) {
  for (const auto& summary : environments.store().List()) {
    if (summary.name == name) return ToEnvironmentInfo(summary);
  }
  return MakeError(ErrorCode::kNotFound, fmt::format("there is no environment '{}'", name),
                   "'pyro env list' lists them");
}

Status WarmInstalled(const Context& context, const image::InstalledEnvironment& environment,
                     const CallIo& io) {
  // Guests also start without a template, only slower; so an installation does not fail for it.
  const Status made = MakeUsualTemplates(context, environment, io);
  if (!made && made.error().code == ErrorCode::kCancelled) return made.error();
  if (!made && io.on_notice) {
    io.on_notice("guests will boot instead of starting warm: " + made.error().message);
  }
  return OkStatus();
}

Result<std::vector<EnvironmentInfo>> LocalEngine::ListEnvironments() {
  Environments environments(context_);
  std::vector<EnvironmentInfo> list;
  for (const auto& summary : environments.store().List())
    list.push_back(ToEnvironmentInfo(summary));
  return list;
}

Result<PulledEnvironment> LocalEngine::PullEnvironment(const PullEnvironmentRequest& request,
                                                       const CallIo& io) {
  Environments environments(context_);
  PYRO_ASSIGN_OR_RETURN(const image::PullRequest asked, ToPull(environments, request));
  PYRO_RETURN_IF_ERROR(CheckDisk(context_));
  PYRO_ASSIGN_OR_RETURN(
      const image::PullResult pulled,
      environments.store().Pull(asked, image::PullMode::kIfNeeded, ToProgress(io), {io.cancel_fd}));
  PYRO_RETURN_IF_ERROR(WarmInstalled(context_, pulled.environment, io));
  PulledEnvironment told;
  PYRO_ASSIGN_OR_RETURN(told.info, EnvironmentSummaryOf(environments, pulled.environment.name));
  told.built = pulled.built;
  if (const auto& image = pulled.environment.manifest.image) told.left_out = image->left_out;
  return told;
}

Result<EnvironmentInfo> LocalEngine::TagEnvironment(const std::string& environment,
                                                    const std::string& name) {
  Environments environments(context_);
  PYRO_RETURN_IF_ERROR(FindEnvironmentName(context_, environment));
  PYRO_ASSIGN_OR_RETURN(const auto tagged, environments.store().Tag(environment, name));
  return EnvironmentSummaryOf(environments, tagged.name);
}

Result<RemovedEnvironment> LocalEngine::RemoveEnvironment(const std::string& environment) {
  RemovedEnvironment removed;
  PYRO_ASSIGN_OR_RETURN(removed.environment, FindEnvironmentName(context_, environment));
  // In a registry NAME is NAME:latest. Elsewhere these are two names, and a removal that is tried
  // again would take the other one.
  if (removed.environment == environment + ":latest" &&
      !image::ParseImageSource("oci:" + environment)) {
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the environment '{}' is not installed", environment),
                     fmt::format("pyro env remove {}", removed.environment));
  }
  PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenRegistry(context_));
  const auto still_in_use = [&] { return VersionsInUse(registry, removed.environment); };
  PYRO_ASSIGN_OR_RETURN(const auto in_use, still_in_use());
  Environments environments(context_);
  PYRO_ASSIGN_OR_RETURN(removed.bytes_freed,
                        environments.store().Remove(removed.environment, in_use,
                                                    {.guard = GuardOf(registry, still_in_use)}));
  PrunedEnvironments templates;
  PruneTemplates(context_, environments.store(), {}, templates);
  removed.bytes_freed += templates.bytes_freed;
  return removed;
}

Result<EnvironmentDetails> LocalEngine::InspectEnvironment(const std::string& text, Verify verify) {
  Environments environments(context_);
  auto inspected = environments.store().Inspect(
      text, verify == Verify::kYes ? image::CheckDepth::kDigests : image::CheckDepth::kSizes);
  const bool missing = !inspected && inspected.error().code == ErrorCode::kNotFound;
  if (missing && !image::FindCatalogEntry(text)) return NoEnvironment(text);
  PYRO_ASSIGN_OR_RETURN(const image::InstalledEnvironment installed, std::move(inspected));
  EnvironmentDetails details;
  PYRO_ASSIGN_OR_RETURN(details.info, EnvironmentSummaryOf(environments, installed.name));
  const image::Manifest& manifest = installed.manifest;
  details.kernel_release = manifest.kernel_release;
  details.kernel_package = manifest.kernel_package + " " + manifest.kernel_package_version;
  details.directory = installed.directory;
  details.files = {DescribeFile(manifest.base), DescribeFile(manifest.kernel)};
  for (const auto& layer : manifest.layers) details.files.push_back(DescribeFile(layer));
  for (const auto& module : manifest.modules) details.modules.push_back(DescribeFile(module));
  for (const auto& package : manifest.packages) {
    details.packages.push_back(package.name + " " + package.version);
  }
  details.apt_sources = manifest.apt_sources;
  for (const auto& [tool, version] : manifest.tools) details.tools.push_back(tool + " " + version);
  if (manifest.image) details.image = ToImageInfo(*manifest.image);
  if (manifest.commit) details.commit = ToCommitInfo(*manifest.commit);
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
          in_use, {.guard = GuardOf(registry)}));
  PrunedEnvironments pruned;
  pruned.bytes_freed = report.bytes_freed;
  pruned.skipped = report.skipped;
  for (const auto& item : report.removed) {
    pruned.removed.push_back({item.name, item.what, item.digest, item.bytes});
  }
  PruneTemplates(context_, environments.store(), {}, pruned);
  PYRO_RETURN_IF_ERROR(PruneDownloads(
      context_, scope == PruneScope::kAll ? DownloadsToPrune::kAll : DownloadsToPrune::kLeftovers,
      false, pruned));
  return pruned;
}

}  // namespace pyro::engine
