#include "image/store/store.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/store/catalog.h"
#include "image/store/install.h"
#include "image/store/install_paths.h"
#include "sys/file_lock.h"
#include "sys/files.h"
#include "sys/wait_for.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

Error Stopped(std::string_view name) {
  return MakeError(ErrorCode::kCancelled, fmt::format("the pull of '{}' was stopped", name));
}

// flock has no wait that a descriptor could end: ask again every so often.
Result<sys::FileLock> LockFolder(const fs::path& folder, std::string_view name,
                                 const ProgressFn& progress, Cancellation cancel) {
  constexpr std::chrono::milliseconds kAskAgain(100);
  bool reported = false;
  for (;;) {
    PYRO_ASSIGN_OR_RETURN(auto lock, sys::FileLock::TryAcquire(folder / kLockName));
    if (lock) return std::move(*lock);
    if (!reported && progress)
      progress({"wait", "another pyro is pulling this environment", std::nullopt});
    reported = true;
    if (sys::WaitFor(cancel.fd, POLLIN, Deadline::After(kAskAgain)) == sys::Waited::kReady) {
      return Stopped(name);
    }
  }
}

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

// The leftovers of killed pulls. The holder of the folder's lock may remove all of them.
void DiscardLeftovers(const fs::path& folder, Builder& builder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(kPullPrefix) || name.starts_with(kTrashPrefix)) {
      static_cast<void>(builder.Discard(entry.path()));  // Tried again by the next pull.
    }
  }
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
  if (Cancelled(cancel)) return Stopped(entry.name);
  if (progress) progress({"verify", "", std::nullopt});
  PYRO_RETURN_IF_ERROR(SealVersion(version, manifest));
  PYRO_ASSIGN_OR_RETURN(const fs::path installed, Activate(folder, version, manifest));
  return LoadVersion(entry.name, installed);
}

}  // namespace

EnvironmentStore::EnvironmentStore(const fs::path& cache_dir, Builder& builder)
    : environments_(fs::absolute(cache_dir) / "environments"), builder_(builder) {}

fs::path EnvironmentStore::Folder(std::string_view name) const {
  return environments_ / DirectoryName(name);
}

std::vector<EnvironmentSummary> EnvironmentStore::List() const {
  std::vector<EnvironmentSummary> list;
  for (const auto& entry : Catalog()) {
    EnvironmentSummary summary;
    summary.name = entry.name;
    summary.description = entry.description;
    const auto found = Find(entry.name);
    if (found) {
      summary.state = InstallState::kInstalled;
      summary.outdated = IsOutdated(entry, found->manifest);
      summary.digest = found->digest;
      summary.built_at = found->manifest.built_at;
      summary.size_bytes = found->size_bytes;
    } else if (found.error().code != ErrorCode::kNotFound) {
      summary.state = InstallState::kBroken;
    }
    list.push_back(std::move(summary));
  }
  return list;
}

Result<InstalledEnvironment> EnvironmentStore::Find(std::string_view name) const {
  PYRO_RETURN_IF_ERROR(FindCatalogEntry(name));
  auto current = CurrentVersion(Folder(name));
  if (!current) {
    Error error = std::move(current).error();
    error.message = error.code == ErrorCode::kNotFound
                        ? fmt::format("the environment '{}' is not installed", name)
                        : fmt::format("the environment '{}' is broken: {}", name, error.message);
    error.hint = fmt::format("pyro env pull {}", name);
    return error;
  }
  auto loaded = LoadVersion(name, *current);
  if (!loaded && loaded.error().code == ErrorCode::kNotFound) {
    Error error = std::move(loaded).error();
    error.code = ErrorCode::kDataLoss;  // `current` names it, so it should exist.
    return error;
  }
  return loaded;
}

Result<InstalledEnvironment> EnvironmentStore::FindVersion(std::string_view name,
                                                           std::string_view digest) const {
  PYRO_RETURN_IF_ERROR(FindCatalogEntry(name));
  const std::string_view version = digest.substr(0, kShortDigest);
  if (!IsVersionName(version)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is not a digest", Printable(digest, 80)));
  }
  PYRO_ASSIGN_OR_RETURN(auto loaded, LoadVersion(name, Folder(name) / version));
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

Result<PullResult> EnvironmentStore::Pull(std::string_view name, PullMode mode,
                                          const ProgressFn& progress, Cancellation cancel) {
  PYRO_ASSIGN_OR_RETURN(const CatalogEntry* entry, FindCatalogEntry(name));
  const auto installed = [&]() -> std::optional<PullResult> {
    if (mode == PullMode::kRebuild) return std::nullopt;
    auto found = Find(name);
    if (!found || IsOutdated(*entry, found->manifest)) return std::nullopt;
    return PullResult{std::move(*found), false};
  };
  if (auto present = installed()) return std::move(*present);
  const fs::path folder = Folder(name);
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(folder));
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, LockFolder(folder, name, progress, cancel));
  // Another process may have installed it while we waited.
  if (auto present = installed()) return std::move(*present);
  DiscardLeftovers(folder, builder_);
  PYRO_RETURN_IF_ERROR(CheckSpace(folder, *entry));
  const fs::path work = FreshName(folder, kPullPrefix);
  auto built = BuildAndInstall(*entry, folder, work, builder_, progress, cancel);
  const Status discarded = builder_.Discard(work);
  if (!built)
    return built.error().code == ErrorCode::kCancelled ? Stopped(name) : std::move(built).error();
  static_cast<void>(discarded);  // The next pull or prune tries again.
  if (progress) progress({"done", FormatBytes(built->size_bytes), 1.0});
  return PullResult{std::move(*built), true};
}

}  // namespace pyro::image
