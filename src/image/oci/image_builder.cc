#include "image/oci/image_builder.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/oci/config.h"
#include "image/oci/guest_disk.h"
#include "sys/errno_error.h"

namespace pyro::image {

namespace {

// Of files that this user cannot make; a guest can.
bool NeedsGuest(const Error& error) { return error.code == ErrorCode::kPermissionDenied; }

// The files of the disks, which are in the directory of the version.
Status RemoveDisks(const std::filesystem::path& version_dir, const ImageDisks& disks) {
  std::vector<std::string> names = {disks.base.name};
  for (const FileRecord& layer : disks.layers) names.push_back(layer.name);
  for (const std::string& name : names) {
    const auto file = version_dir / name;
    if (::unlink(file.c_str()) != 0) return sys::ErrnoError(errno, "unlink", file.native());
  }
  return OkStatus();
}

}  // namespace

OciImageBuilder::OciImageBuilder(const std::filesystem::path& cache_dir, ToolPaths tools,
                                 BuilderGuest* guest)
    : tools_(std::move(tools)),
      guest_(guest),
      fetcher_(cache_dir, tools_),
      blobs_(std::filesystem::absolute(cache_dir) / "oci"),
      layers_(std::filesystem::absolute(cache_dir) / "oci") {}

Result<std::string> OciImageBuilder::OwnName(const ImageSource& source, Cancellation cancel) {
  return fetcher_.OwnName(source, cancel);
}

Result<std::string> OciImageBuilder::SourceDigest(const ImageSource& source,
                                                  const FetchOptions& options,
                                                  Cancellation cancel) {
  return fetcher_.SourceDigest(source, options, cancel);
}

Result<ImageDisks> OciImageBuilder::MakeDisks(const std::optional<RootNamespace>& root,
                                              const FetchedImage& image,
                                              const GuestEnvironment& environment,
                                              const std::filesystem::path& work_dir,
                                              const std::filesystem::path& version_dir,
                                              const ProgressFn& progress, Cancellation cancel) {
  if (root) {
    auto disks =
        MakeImageDisks(tools_, *root, image, layers_, work_dir, version_dir, progress, cancel);
    const bool whole = disks ? !disks->lacks_devices : !NeedsGuest(disks.error());
    if (whole || guest_ == nullptr) return disks;
    if (disks) PYRO_RETURN_IF_ERROR(RemoveDisks(version_dir, *disks));
  }
  return MakeDiskInGuest(tools_, *guest_, environment, image, work_dir, version_dir, progress,
                         cancel);
}

Result<BuiltImage> OciImageBuilder::Build(const ImageSource& source, const FetchOptions& options,
                                          const GuestEnvironment& environment,
                                          const std::filesystem::path& work_dir,
                                          const std::filesystem::path& version_dir,
                                          const ProgressFn& progress, Cancellation cancel) {
  // Before the download: a host that cannot unpack is told so at once.
  PYRO_RETURN_IF_ERROR(tools_.Find("skopeo"));
  std::optional<RootNamespace> root;
  if (auto made = RootNamespace::Create(tools_, cancel)) {
    root.emplace(std::move(*made));
    for (const char* tool : {"umoci", "mkfs.erofs"}) PYRO_RETURN_IF_ERROR(tools_.Find(tool));
  } else if (guest_ == nullptr || made.error().code == ErrorCode::kCancelled) {
    return std::move(made).error();
  }
  PYRO_ASSIGN_OR_RETURN(FetchedImage fetched,
                        fetcher_.Fetch(source, options, work_dir, progress, cancel));
  PYRO_ASSIGN_OR_RETURN(ImageConfig config, ParseImageConfig(fetched.config_json));
  PYRO_RETURN_IF_ERROR(CheckRunsInGuests(config));
  // Until the version has its links to the disks.
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, blobs_.Enter(progress, cancel));
  PYRO_ASSIGN_OR_RETURN(ImageDisks disks, MakeDisks(root, fetched, environment, work_dir,
                                                    version_dir, progress, cancel));
  if (!config.unusable.empty()) {
    disks.left_out.push_back(
        fmt::format("{} entries of the variables that are not NAME=VALUE, "
                    "as '{}'",
                    config.unusable.size(), Printable(config.unusable.front(), 80)));
  }
  BuiltImage built;
  built.record = {.source = FormatImageSource(source),
                  .source_digest = std::move(fetched.source_digest),
                  .manifest_digest = std::move(fetched.manifest_digest),
                  .config_digest = std::move(fetched.config_digest),
                  .layers = std::move(fetched.layers),
                  .layer_bytes = fetched.bytes,
                  .config = std::move(config),
                  .left_out = std::move(disks.left_out)};
  built.base = std::move(disks.base);
  built.layers = std::move(disks.layers);
  built.tools = ToolVersions(tools_, {"skopeo", "umoci", "mkfs.erofs"});
  return built;
}

Result<std::optional<std::filesystem::path>> OciImageBuilder::KeptLayout(
    const ImageRecord& record, const std::filesystem::path& work_dir, const ProgressFn& progress,
    Cancellation cancel) {
  return fetcher_.KeptLayout(record.manifest_digest, work_dir, progress, cancel);
}

Result<std::filesystem::path> OciImageBuilder::CompressedLayout(
    const std::filesystem::path& layout, const std::filesystem::path& work_dir,
    const ProgressFn& progress, Cancellation cancel) {
  const ImageSource source = {.transport = Transport::kOciLayout, .location = layout.native()};
  PYRO_ASSIGN_OR_RETURN(FetchedImage fetched,
                        fetcher_.Fetch(source, {}, work_dir, progress, cancel));
  return std::move(fetched.layout);
}

Result<std::uint64_t> OciImageBuilder::PruneBlobs(const std::set<std::string>& kept_digests,
                                                  DryPrune* dry) {
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t blobs, fetcher_.PruneBlobs(kept_digests, dry));
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t disks, layers_.Prune(dry));
  return blobs + disks;
}

}  // namespace pyro::image
