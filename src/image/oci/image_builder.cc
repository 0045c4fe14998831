#include "image/oci/image_builder.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/oci/config.h"
#include "image/oci/layer_stack.h"
#include "image/root_namespace.h"

namespace pyro::image {

OciImageBuilder::OciImageBuilder(const std::filesystem::path& cache_dir, ToolPaths tools)
    : tools_(std::move(tools)),
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

Result<BuiltImage> OciImageBuilder::Build(const ImageSource& source, const FetchOptions& options,
                                          const std::filesystem::path& work_dir,
                                          const std::filesystem::path& version_dir,
                                          const ProgressFn& progress, Cancellation cancel) {
  // Before the download: a host that cannot unpack is told so at once.
  for (const char* tool : {"skopeo", "umoci", "mkfs.erofs"}) {
    PYRO_RETURN_IF_ERROR(tools_.Find(tool));
  }
  PYRO_ASSIGN_OR_RETURN(const RootNamespace root, RootNamespace::Create(tools_, cancel));
  PYRO_ASSIGN_OR_RETURN(FetchedImage fetched,
                        fetcher_.Fetch(source, options, work_dir, progress, cancel));
  PYRO_ASSIGN_OR_RETURN(ImageConfig config, ParseImageConfig(fetched.config_json));
  PYRO_RETURN_IF_ERROR(CheckRunsInGuests(config));
  // Until the version has its links to the disks.
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, blobs_.Enter(progress, cancel));
  PYRO_ASSIGN_OR_RETURN(ImageDisks disks, MakeImageDisks(tools_, root, fetched, layers_, work_dir,
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

Result<std::uint64_t> OciImageBuilder::PruneBlobs(const std::set<std::string>& kept_digests) {
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t blobs, fetcher_.PruneBlobs(kept_digests));
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t disks, layers_.Prune());
  return blobs + disks;
}

}  // namespace pyro::image
