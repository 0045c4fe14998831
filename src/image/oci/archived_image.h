// Images in files and directories: which there are, which one is meant, and its blobs.

#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "image/oci/image_index.h"
#include "image/oci/source.h"
#include "image/progress.h"
#include "pyro/result.h"

namespace pyro::image {

// A value.
struct ArchivedImage {
  std::string source_digest;  // As FetchedImage's.
  std::string own_name;       // As ImageFetcher::OwnName.
  Descriptor entry;           // Of an OCI archive or layout: that of its index.
  std::size_t place = 0;      // Of a Docker archive: in its manifest.json.
};

// Reads an archive's or a layout's index, and writes nothing. Archives may be compressed.
// kNotFound: no such file, or no such image in it. kInvalidArgument: it is no archive of that kind,
// or has several images. kDataLoss: it is cut off or damaged. kCancelled.
Result<ArchivedImage> LookIntoArchive(const ImageSource& source, const ProgressFn& progress,
                                      Cancellation cancel);

// Writes the blobs of an OCI archive to `directory`/blobs/sha256. Nothing else of it is written.
Status ExtractBlobs(const std::filesystem::path& archive, const std::filesystem::path& directory,
                    const ProgressFn& progress, Cancellation cancel);

// Writes the archive to `to` if it is compressed: skopeo cannot read the gzip of `docker save |
// gzip`. Returns the path of the plain one.
Result<std::filesystem::path> PlainArchive(const std::filesystem::path& archive,
                                           const std::filesystem::path& to,
                                           const ProgressFn& progress, Cancellation cancel);

}  // namespace pyro::image
