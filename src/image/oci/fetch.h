// Images from registries, archives and directories, brought onto this host by skopeo.

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "image/dry_prune.h"
#include "image/oci/archived_image.h"
#include "image/oci/source.h"
#include "image/progress.h"
#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

// A value.
struct FetchOptions {
  std::filesystem::path authfile;  // Of containers-auth.json(5); empty: the tools' own places.
  bool plain_http = false;         // The registry need not speak TLS, nor prove who it is.
};

// A value: one image for linux/amd64 (or of no platform that its index names), on disk.
struct FetchedImage {
  std::filesystem::path layout;  // An OCI layout in the work directory, with this one image.
  std::string tag;               // The image's name in the layout's index, for umoci.
  // What a later pull compares: the registry's digest of the tag, an index's too; that of an OCI
  // archive's or layout's manifest; of a docker-archive its image ID.
  std::string source_digest;
  std::string manifest_digest;      // Of the layout's manifest.
  std::string config_digest;        // Of its configuration.
  std::vector<std::string> layers;  // Digests, lowest first, as in the layout's manifest.
  std::uint64_t bytes = 0;          // Of the layers, compressed.
  std::string config_json;          // At most 4 MiB; of any architecture.
};

// Constants, except in tests.
struct FetchLimits {
  std::chrono::milliseconds stall{30'000};  // Without a byte; then a copy is begun again.
  int retries = 3;                          // Of a connection that was cut or stalled.
  std::chrono::milliseconds pause{1'000};   // Before the first retry; doubled for each further one.
};

// Safe for many processes at once. The blobs of all pulls are in CACHE/oci/blobs, so that layers
// are copied once. An object belongs to one thread.
class ImageFetcher {
 public:
  ImageFetcher(std::filesystem::path cache_dir, ToolPaths tools, FetchLimits limits = {});

  // FetchedImage::source_digest without the image: one question to the registry, or a look into the
  // archive. kNotFound: no such image, file or authfile. kPermissionDenied: the registry wants a
  // login. kUnavailable: it cannot be reached. kInvalidArgument: it speaks plain HTTP, or the
  // archive has several images, or none. kMissingTool. kCancelled.
  Result<std::string> SourceDigest(const ImageSource& source, const FetchOptions& options,
                                   Cancellation cancel);

  // How an archive or a layout calls its image: a RepoTag as it is, a tag that stands alone as
  // STEM:TAG of the file's stem. Empty for a registry's image, and if it gives no name that an
  // environment may have. Errors as above.
  Result<std::string> OwnName(const ImageSource& source, Cancellation cancel);

  // Copies the image into the blob store, and a layout of hard links to it into `work_dir`, which
  // exists and is the caller's to remove. Blobs that are there are hashed before they are used.
  // Phases: wait, check, download. Errors as above; kDataLoss: bytes are not those of their digest.
  // kNoSpace. A later try goes on with the blobs that this one has completed.
  Result<FetchedImage> Fetch(const ImageSource& source, const FetchOptions& options,
                             const std::filesystem::path& work_dir, const ProgressFn& progress,
                             Cancellation cancel);

  // A layout in `work_dir` of an image that was fetched earlier, of hard links to its blobs, each
  // hashed. Its image is called kLayoutName. nullopt: some are not here any more. kCancelled.
  Result<std::optional<std::filesystem::path>> KeptLayout(const std::string& manifest_digest,
                                                          const std::filesystem::path& work_dir,
                                                          const ProgressFn& progress,
                                                          Cancellation cancel);

  // Removes blobs whose digest is not in `kept_digests`, and leftovers of killed copies. Returns
  // the bytes freed; 0 while another process copies. With `dry` it removes none.
  Result<std::uint64_t> PruneBlobs(const std::set<std::string>& kept_digests, DryPrune* dry);

 private:
  // One look into a large archive serves all three calls.
  struct Look {
    ImageSource source;
    std::string state;  // Of the file: differs when it was changed.
    ArchivedImage image;
  };
  Result<ArchivedImage> LookInto(const ImageSource& source, const ProgressFn& progress,
                                 Cancellation cancel);

  std::optional<Look> look_;
  const std::filesystem::path store_;
  const ToolPaths tools_;
  const FetchLimits limits_;
};

}  // namespace pyro::image
