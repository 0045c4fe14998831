// The part of the store that is about images.

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/oci/image_builder.h"
#include "image/oci/source.h"
#include "image/store/catalog.h"
#include "image/store/folder.h"
#include "image/store/install.h"
#include "image/store/install_paths.h"
#include "image/store/names.h"
#include "image/store/store.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

// Of an image: the parts of the guest's kernel are those of an environment of the catalog.
Manifest WithKernelOf(const Manifest& provider) {
  Manifest manifest;
  manifest.catalog_version = kCatalogVersion;
  manifest.kernel.name = provider.kernel.name;
  for (const FileRecord& module : provider.modules)
    manifest.modules.push_back({module.name, 0, {}});
  manifest.kernel_release = provider.kernel_release;
  manifest.kernel_package = provider.kernel_package;
  manifest.kernel_package_version = provider.kernel_package_version;
  return manifest;
}

// Whether a source still has the image that is installed. The source is asked once at most.
class SameImage {
 public:
  SameImage(ImageBuilder& images, const ImageSource& source, const FetchOptions& options,
            Cancellation cancel)
      : images_(images), source_(source), options_(options), cancel_(cancel) {}

  Result<bool> Is(const Manifest& manifest) {
    if (!manifest.image) return false;
    if (digest_.empty()) digest_ = source_.digest;
    if (digest_.empty()) {
      PYRO_ASSIGN_OR_RETURN(digest_, images_.SourceDigest(source_, options_, cancel_));
    }
    return manifest.image->source_digest == digest_;
  }

 private:
  ImageBuilder& images_;
  const ImageSource& source_;
  const FetchOptions& options_;
  const Cancellation cancel_;
  std::string digest_;
};

}  // namespace

Result<InstalledEnvironment> EnvironmentStore::KernelProvider(const std::function<Status()>& ask,
                                                              const ProgressFn& progress,
                                                              Cancellation cancel) {
  std::optional<InstalledEnvironment> latest;
  for (const auto& entry : Catalog()) {
    auto found = FindExactly(entry.name);
    if (found && (!latest || latest->manifest.built_at < found->manifest.built_at)) {
      latest = std::move(*found);
    }
  }
  if (latest) return std::move(*latest);
  // An image that is installed has one, too.
  for (const auto& name : ImageNames()) {
    auto found = FindExactly(name);
    if (found && (!latest || latest->manifest.built_at < found->manifest.built_at)) {
      latest = std::move(*found);
    }
  }
  if (latest) return std::move(*latest);
  PYRO_RETURN_IF_ERROR(ask());
  PYRO_ASSIGN_OR_RETURN(const CatalogEntry* entry, FindCatalogEntry(kKernelProvider));
  const ProgressFn not_the_end = [&progress](const PullProgress& news) {
    if (progress && news.phase != "done") progress(news);
  };
  auto pulled = PullEntry(*entry, PullMode::kIfNeeded, not_the_end, cancel);
  if (pulled) return std::move(pulled->environment);
  Error error = std::move(pulled).error();
  if (error.code != ErrorCode::kCancelled) {
    error.message = fmt::format("an image needs the kernel of '{}', which is not installed: {}",
                                kKernelProvider, error.message);
  }
  return error;
}

Result<InstalledEnvironment> EnvironmentStore::InstallImage(
    const ImageSource& source, const FetchOptions& options, const std::string& name,
    const InstalledEnvironment& kernel, const fs::path& work,
    const std::function<void(Manifest&)>& complete, const ProgressFn& progress,
    Cancellation cancel) {
  const fs::path version = work / "version";
  const fs::path scratch = work / "image";
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(scratch));
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(version));
  // First, because a prune may remove them while the image is fetched.
  PYRO_RETURN_IF_ERROR(ShareFiles(kernel, SharedFiles::kKernel, version));
  Manifest manifest = WithKernelOf(kernel.manifest);
  const GuestEnvironment guest = {.name = kernel.name, .digest = kernel.digest};
  PYRO_ASSIGN_OR_RETURN(BuiltImage built,
                        images_.Build(source, options, guest, scratch, version, progress, cancel));
  manifest.base = std::move(built.base);
  manifest.layers = std::move(built.layers);
  manifest.environment = name;
  manifest.tools = std::move(built.tools);
  manifest.image = std::move(built.record);
  if (complete) complete(manifest);
  if (Cancelled(cancel)) return PullStopped(name);
  if (progress) progress({"verify", "", std::nullopt});
  PYRO_RETURN_IF_ERROR(SealVersion(version, manifest));
  PYRO_ASSIGN_OR_RETURN(const fs::path installed, Activate(Folder(name), version, manifest));
  return LoadVersion(name, installed);
}

Result<PullResult> EnvironmentStore::PullImage(const PullRequest& request, PullMode mode,
                                               const ProgressFn& progress, Cancellation cancel) {
  PYRO_ASSIGN_OR_RETURN(const ImageSource source, ParseImageSource(request.source));
  std::string own_name;
  if (request.name.empty() && source.transport != Transport::kRegistry) {
    PYRO_ASSIGN_OR_RETURN(own_name, images_.OwnName(source, cancel));
  }
  PYRO_ASSIGN_OR_RETURN(const std::string name, NameForImage(source, request.name, own_name));
  SameImage same(images_, source, request.fetch, cancel);
  const auto installed = [&]() -> Result<std::optional<PullResult>> {
    if (mode == PullMode::kRebuild) return std::optional<PullResult>();
    auto found = FindExactly(name);
    if (!found) return std::optional<PullResult>();
    PYRO_ASSIGN_OR_RETURN(const bool is_same, same.Is(found->manifest));
    if (!is_same) return std::optional<PullResult>();
    return std::optional<PullResult>({std::move(*found), false});
  };
  PYRO_ASSIGN_OR_RETURN(auto present, installed());
  if (present) return std::move(*present);
  const auto ask = [&]() -> Status {
    PYRO_RETURN_IF_ERROR(images_.SourceDigest(source, request.fetch, cancel));
    return OkStatus();
  };
  PYRO_ASSIGN_OR_RETURN(const InstalledEnvironment kernel, KernelProvider(ask, progress, cancel));
  const fs::path folder = Folder(name);
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, LockFolder(folder, name, progress, cancel));
  // Another process may have installed it while we waited.
  PYRO_ASSIGN_OR_RETURN(present, installed());
  if (present) return std::move(*present);
  DiscardLeftovers(folder, builder_);
  PYRO_RETURN_IF_ERROR(WriteImageName(folder, name));
  const fs::path work = FreshName(folder, kPullPrefix);
  auto built = InstallImage(source, request.fetch, name, kernel, work, {}, progress, cancel);
  static_cast<void>(builder_.Discard(work));  // The next pull or prune tries again.
  if (!built) {
    RemoveIfEmpty(folder);
    return built.error().code == ErrorCode::kCancelled ? PullStopped(name)
                                                       : std::move(built).error();
  }
  if (progress) progress({"done", FormatBytes(built->size_bytes), 1.0});
  return PullResult{std::move(*built), true};
}

Result<InstalledEnvironment> EnvironmentStore::Tag(std::string_view name,
                                                   std::string_view new_name) {
  PYRO_ASSIGN_OR_RETURN(const InstalledEnvironment tagged, Find(name));
  PYRO_RETURN_IF_ERROR(CheckImageName(new_name));
  if (tagged.name == new_name) return tagged;
  const fs::path folder = Folder(new_name);
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, LockFolder(folder, new_name, {}, {}));
  PYRO_RETURN_IF_ERROR(WriteImageName(folder, new_name));
  const fs::path work = FreshName(folder, kPullPrefix);
  const auto install = [&]() -> Result<InstalledEnvironment> {
    PYRO_RETURN_IF_ERROR(sys::MakeDirectories(work));
    PYRO_RETURN_IF_ERROR(ShareFiles(tagged, SharedFiles::kAll, work));
    Manifest manifest = tagged.manifest;
    manifest.environment = new_name;
    PYRO_RETURN_IF_ERROR(WriteManifest(work, manifest));
    PYRO_ASSIGN_OR_RETURN(const fs::path installed, Activate(folder, work, manifest));
    return LoadVersion(new_name, installed);
  };
  auto made = install();
  static_cast<void>(builder_.Discard(work));  // An older directory, if it was there already.
  if (!made) RemoveIfEmpty(folder);
  return made;
}

std::uint64_t EnvironmentStore::PruneLayers(const std::set<fs::path>& gone, DryPrune* dry) const {
  std::set<std::string> kept;
  std::error_code error;
  for (const auto& name : ImageNames()) {
    const fs::path folder = Folder(name);
    for (const auto& version : fs::directory_iterator(folder, error)) {
      if (!IsVersionName(version.path().filename().native())) continue;
      if (gone.contains(version.path())) continue;
      const auto loaded = LoadVersion(name, version.path());
      if (!loaded || !loaded->manifest.image) continue;
      const ImageRecord& image = *loaded->manifest.image;
      kept.insert(image.layers.begin(), image.layers.end());
      kept.insert(image.manifest_digest);
      if (!image.config_digest.empty()) kept.insert(image.config_digest);
    }
  }
  // What cannot be removed now is removed by the next prune.
  return images_.PruneBlobs(kept, dry).value_or(0);
}

}  // namespace pyro::image
