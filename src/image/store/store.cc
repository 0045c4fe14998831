#include "image/store/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "image/store/catalog.h"
#include "image/store/folder.h"
#include "image/store/install.h"
#include "image/store/install_paths.h"
#include "image/store/names.h"
#include "sys/file_lock.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

Status CheckSpace(const fs::path& folder, const CatalogEntry& entry) {
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t free_bytes, sys::FreeSpace(folder));
  if (free_bytes >= entry.build_bytes) return OkStatus();
  return MakeError(
      ErrorCode::kNoSpace,
      fmt::format("building '{}' takes {} and '{}' has {} left", entry.name,
                  FormatBytes(entry.build_bytes), folder.native(), FormatBytes(free_bytes)),
      "free some space (`pyro env prune` removes what is not used), or let PYRO_CACHE_DIR name a "
      "larger disk");
}

// What an older pyro built by a recipe with fewer packages. It serves until it is pulled again.
bool IsOutdated(const CatalogEntry& entry, const Manifest& manifest) {
  return !std::all_of(
      entry.packages.begin(), entry.packages.end(), [&manifest](std::string_view wanted) {
        return std::any_of(manifest.packages.begin(), manifest.packages.end(),
                           [wanted](const PackageRecord& held) { return held.name == wanted; });
      });
}

Result<InstalledEnvironment> BuildAndInstall(const CatalogEntry& entry, const fs::path& folder,
                                             const fs::path& work, Builder& builder,
                                             const ProgressFn& progress, Cancellation cancel) {
  const fs::path version = work / "version";
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(version));
  PYRO_ASSIGN_OR_RETURN(Manifest manifest, builder.Build(entry, work, version, progress, cancel));
  if (Cancelled(cancel)) return PullStopped(entry.name);
  if (progress) progress({"verify", "", std::nullopt});
  PYRO_RETURN_IF_ERROR(SealVersion(version, manifest));
  PYRO_ASSIGN_OR_RETURN(const fs::path installed, Activate(folder, version, manifest));
  return LoadVersion(entry.name, installed);
}

// RFC 3339; empty: never.
std::string LastUse(const fs::path& folder) {
  struct stat info {};
  if (::stat((folder / kUsedName).c_str(), &info) != 0) return {};
  const auto whole = std::chrono::seconds(info.st_mtim.tv_sec);
  const auto rest = std::chrono::nanoseconds(info.st_mtim.tv_nsec);
  return FormatTime(WallTime(whole + std::chrono::duration_cast<std::chrono::milliseconds>(rest)));
}

void Describe(const Result<InstalledEnvironment>& found, EnvironmentSummary& summary) {
  if (!found) {
    if (found.error().code != ErrorCode::kNotFound) summary.state = InstallState::kBroken;
    return;
  }
  summary.state = InstallState::kInstalled;
  summary.digest = found->digest;
  summary.built_at = found->manifest.built_at;
  summary.size_bytes = found->size_bytes;
  summary.last_used_at = LastUse(found->directory.parent_path());
  if (!found->manifest.image) return;
  summary.source = found->manifest.image->source;
  summary.source_digest = found->manifest.image->source_digest;
}

}  // namespace

EnvironmentStore::EnvironmentStore(const fs::path& cache_dir, Builder& builder,
                                   ImageBuilder& images)
    : environments_(fs::absolute(cache_dir) / "environments"), builder_(builder), images_(images) {}

fs::path EnvironmentStore::Folder(std::string_view name) const {
  return environments_ / FolderName(name);
}

std::vector<std::string> EnvironmentStore::ImageNames() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(environments_, error)) {
    if (auto name = ImageNameOfFolder(entry.path())) names.push_back(std::move(*name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<EnvironmentSummary> EnvironmentStore::List() const {
  std::vector<EnvironmentSummary> list;
  for (const auto& entry : Catalog()) {
    EnvironmentSummary summary;
    summary.name = entry.name;
    summary.description = entry.description;
    const auto found = FindExactly(entry.name);
    Describe(found, summary);
    if (found) summary.outdated = IsOutdated(entry, found->manifest);
    list.push_back(std::move(summary));
  }
  for (auto& name : ImageNames()) {
    EnvironmentSummary summary;
    Describe(FindExactly(name), summary);
    summary.name = std::move(name);
    summary.description = summary.state == InstallState::kBroken      ? "broken"
                          : summary.source.empty()                    ? "tagged from the catalog"
                          : summary.source.starts_with(kCommitSource) ? "committed from a task"
                                                                      : "OCI image";
    if (summary.state != InstallState::kNotInstalled) list.push_back(std::move(summary));
  }
  return list;
}

Result<InstalledEnvironment> EnvironmentStore::Find(std::string_view name) const {
  PYRO_ASSIGN_OR_RETURN(const std::string exact, ResolveName(environments_, name));
  return FindExactly(exact);
}

Result<InstalledEnvironment> EnvironmentStore::FindExactly(std::string_view name) const {
  const auto current = CurrentVersion(Folder(name));
  if (!current) {
    return current.error().code == ErrorCode::kNotFound
               ? NotInstalled(name)
               : BrokenEnvironment(name, current.error().message);
  }
  auto loaded = LoadVersion(name, *current);
  if (!loaded && loaded.error().code == ErrorCode::kNotFound) {
    // `current` names it, so it should exist.
    return BrokenEnvironment(name, "its present version is missing");
  }
  return loaded;
}

Result<InstalledEnvironment> EnvironmentStore::FindVersion(std::string_view name,
                                                           std::string_view digest) const {
  const std::string_view version = digest.substr(0, kShortDigest);
  if (!IsVersionName(version)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is not a digest", Printable(digest, 80)));
  }
  PYRO_ASSIGN_OR_RETURN(const std::string exact, ResolveName(environments_, name));
  PYRO_ASSIGN_OR_RETURN(auto loaded, LoadVersion(exact, Folder(exact) / version));
  if (!loaded.digest.starts_with(digest)) {
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the environment '{}' has no such version", name));
  }
  return loaded;
}

Result<InstalledEnvironment> EnvironmentStore::Inspect(std::string_view name,
                                                       CheckDepth depth) const {
  PYRO_ASSIGN_OR_RETURN(auto found, Find(name));
  if (depth == CheckDepth::kDigests) PYRO_RETURN_IF_ERROR(VerifyDigests(found));
  return found;
}

void EnvironmentStore::NoteUse(const InstalledEnvironment& environment) {
  const fs::path used = environment.directory.parent_path() / kUsedName;
  if (::utimensat(AT_FDCWD, used.c_str(), nullptr, 0) == 0) return;
  static_cast<void>(sys::OpenRegularFile(used, O_WRONLY | O_CREAT, 0644));
}

Result<PullResult> EnvironmentStore::Pull(const PullRequest& request, PullMode mode,
                                          const ProgressFn& progress, Cancellation cancel) {
  if (IsImageSource(request.source)) return PullImage(request, mode, progress, cancel);
  PYRO_ASSIGN_OR_RETURN(const CatalogEntry* entry, FindCatalogEntry(request.source));
  if (!request.name.empty() || !request.fetch.authfile.empty() || request.fetch.plain_http) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' is of the catalog: it has a name, and no registry", request.source),
        fmt::format("pyro env pull {}", request.source));
  }
  return PullEntry(*entry, mode, progress, cancel);
}

Result<PullResult> EnvironmentStore::PullEntry(const CatalogEntry& entry, PullMode mode,
                                               const ProgressFn& progress, Cancellation cancel) {
  const std::string_view name = entry.name;
  const auto installed = [&]() -> std::optional<PullResult> {
    if (mode == PullMode::kRebuild) return std::nullopt;
    auto found = FindExactly(name);
    if (!found || IsOutdated(entry, found->manifest)) return std::nullopt;
    return PullResult{std::move(*found), false};
  };
  if (auto present = installed()) return std::move(*present);
  const fs::path folder = Folder(name);
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, LockFolder(folder, name, progress, cancel));
  // Another process may have installed it while we waited.
  if (auto present = installed()) return std::move(*present);
  DiscardLeftovers(folder, builder_);
  PYRO_RETURN_IF_ERROR(CheckSpace(folder, entry));
  const fs::path work = FreshName(folder, kPullPrefix);
  auto built = BuildAndInstall(entry, folder, work, builder_, progress, cancel);
  const Status discarded = builder_.Discard(work);
  if (!built) {
    return built.error().code == ErrorCode::kCancelled ? PullStopped(name)
                                                       : std::move(built).error();
  }
  static_cast<void>(discarded);  // The next pull or prune tries again.
  if (progress) progress({"done", FormatBytes(built->size_bytes), 1.0});
  return PullResult{std::move(*built), true};
}

}  // namespace pyro::image
