// Makes the root file system of an environment out of an OCI image.

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "image/dry_prune.h"
#include "image/oci/blob_store.h"
#include "image/oci/builder_guest.h"
#include "image/oci/fetch.h"
#include "image/oci/layer_stack.h"
#include "image/oci/layer_store.h"
#include "image/oci/source.h"
#include "image/progress.h"
#include "image/root_namespace.h"
#include "image/store/manifest.h"
#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

// A value: what of a manifest the image decides.
struct BuiltImage {
  ImageRecord record;
  // base.erofs or base.ext4, and the disks that lie on it, the lowest first. One with a digest is
  // on the disk of this host already.
  FileRecord base;
  std::vector<FileRecord> layers;
  std::map<std::string, std::string> tools;  // Name to version of each tool that built it.
};

// The interface between making an image's files and storing them: the store uses only this.
class ImageBuilder {
 public:
  virtual ~ImageBuilder() = default;

  // The name that an archive or layout gives its image; empty: none, or the source is a registry.
  virtual Result<std::string> OwnName(const ImageSource& source, Cancellation cancel) = 0;

  // Of the image that the source names now: a registry is asked for it.
  virtual Result<std::string> SourceDigest(const ImageSource& source, const FetchOptions& options,
                                           Cancellation cancel) = 0;

  // Fetches the image and makes its disks in `version_dir` (exists). Temporary files are in
  // `work_dir` (exists); on failure they are left there, and perhaps some of the disks. A guest
  // that this needs runs `environment`.
  virtual Result<BuiltImage> Build(const ImageSource& source, const FetchOptions& options,
                                   const GuestEnvironment& environment,
                                   const std::filesystem::path& work_dir,
                                   const std::filesystem::path& version_dir,
                                   const ProgressFn& progress, Cancellation cancel) = 0;

  // An OCI layout below `work_dir` (exists) of the image that `record` is of, as it was fetched.
  // nullopt: not all of it is here any more.
  virtual Result<std::optional<std::filesystem::path>> KeptLayout(
      const ImageRecord& record, const std::filesystem::path& work_dir, const ProgressFn& progress,
      Cancellation cancel) = 0;

  // One below `work_dir` of the only image of another layout, with compressed layers.
  virtual Result<std::filesystem::path> CompressedLayout(const std::filesystem::path& layout,
                                                         const std::filesystem::path& work_dir,
                                                         const ProgressFn& progress,
                                                         Cancellation cancel) = 0;

  // Removes what pulls have kept for later pulls, except these digests and the disks of installed
  // versions. Returns the bytes freed: 0 if another process is fetching an image. With `dry`, which
  // may be null, it removes none of them.
  virtual Result<std::uint64_t> PruneBlobs(const std::set<std::string>& kept_digests,
                                           DryPrune* dry) = 0;
};

// With skopeo, umoci and mkfs.erofs, or, where this user may not make what an image has, with a
// guest. Errors: those of ImageFetcher, CheckRunsInGuests, RootNamespace::Create, UnpackAndSeal and
// MakeDiskInGuest.
class OciImageBuilder final : public ImageBuilder {
 public:
  // `guest` is borrowed. nullptr: without one, such images are refused, and lack device nodes.
  OciImageBuilder(const std::filesystem::path& cache_dir, ToolPaths tools,
                  BuilderGuest* guest = nullptr);

  Result<std::string> OwnName(const ImageSource& source, Cancellation cancel) override;
  Result<std::string> SourceDigest(const ImageSource& source, const FetchOptions& options,
                                   Cancellation cancel) override;
  Result<BuiltImage> Build(const ImageSource& source, const FetchOptions& options,
                           const GuestEnvironment& environment,
                           const std::filesystem::path& work_dir,
                           const std::filesystem::path& version_dir, const ProgressFn& progress,
                           Cancellation cancel) override;
  Result<std::optional<std::filesystem::path>> KeptLayout(const ImageRecord& record,
                                                          const std::filesystem::path& work_dir,
                                                          const ProgressFn& progress,
                                                          Cancellation cancel) override;
  Result<std::filesystem::path> CompressedLayout(const std::filesystem::path& layout,
                                                 const std::filesystem::path& work_dir,
                                                 const ProgressFn& progress,
                                                 Cancellation cancel) override;
  Result<std::uint64_t> PruneBlobs(const std::set<std::string>& kept_digests,
                                   DryPrune* dry) override;

 private:
  Result<ImageDisks> MakeDisks(const std::optional<RootNamespace>& root, const FetchedImage& image,
                               const GuestEnvironment& environment,
                               const std::filesystem::path& work_dir,
                               const std::filesystem::path& version_dir, const ProgressFn& progress,
                               Cancellation cancel);

  const ToolPaths tools_;
  BuilderGuest* const guest_;
  ImageFetcher fetcher_;
  const BlobStore blobs_;
  const LayerStore layers_;
};

}  // namespace pyro::image
