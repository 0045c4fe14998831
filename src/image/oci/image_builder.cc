#include "image/oci/image_builder.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/oci/config.h"
#include "image/oci/unpack.h"
#include "image/root_namespace.h"

namespace pyro::image {

OciImageBuilder::OciImageBuilder(const std::filesystem::path& cache_dir, ToolPaths tools)
    : tools_(std::move(tools)), fetcher_(cache_dir, tools_) {}

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
                                          const std::filesystem::path& base_erofs,
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
  PYRO_ASSIGN_OR_RETURN(SealedImage sealed, UnpackAndSeal(tools_, root, fetched, work_dir,
                                                          base_erofs, progress, cancel));
  if (!config.unusable.empty()) {
    sealed.left_out.push_back(
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
                  .left_out = std::move(sealed.left_out)};
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
  return fetcher_.PruneBlobs(kept_digests);
}

}  // namespace pyro::image
