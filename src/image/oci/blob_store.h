// The blobs of all images, each once, named by their digests:
//
//   CACHE/oci/lock             held shared while blobs are copied or linked, exclusively to remove
//   CACHE/oci/blobs/sha256/*   layers, configurations and manifests
//   CACHE/oci/.copy-*          of a copy under way while the lock is held, leftovers otherwise

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "image/dry_prune.h"
#include "image/oci/image_index.h"
#include "image/progress.h"
#include "pyro/result.h"
#include "sys/file_lock.h"

namespace pyro::image {

// Safe for many processes at once. An object belongs to one thread.
class BlobStore {
 public:
  // `root` is CACHE/oci and need not exist.
  explicit BlobStore(std::filesystem::path root) : root_(std::move(root)) {}

  // For skopeo, which adds sha256/ itself.
  std::filesystem::path shared_dir() const { return root_ / "blobs"; }

  std::filesystem::path PathOf(std::string_view digest) const;

  // Removes the leftovers of killed copies if no other process copies, then takes the shared lock.
  // Waits while another process prunes. kCancelled.
  Result<sys::FileLock> Enter(const ProgressFn& progress, Cancellation cancel) const;

  // A new directory for one copy, on the file system of the blobs. Needs the shared lock.
  Result<std::filesystem::path> MakeCopyDir() const;

  // Hashes each of these blobs that is there, and removes it if its bytes or its length are wrong.
  // Returns those that are missing then, each once. kCancelled.
  Result<std::vector<Descriptor>> Missing(const std::vector<Descriptor>& blobs,
                                          const ProgressFn& progress, Cancellation cancel) const;

  // A hard link of the blob in `directory`/sha256; a copy if that is on another file system.
  // kDataLoss: the blob is not there, or not `blob.size` bytes long.
  Status Link(const Descriptor& blob, const std::filesystem::path& directory) const;

  // The content of a small blob. kDataLoss: it is not there, or its bytes are not those of the
  // digest. kLimit.
  Result<std::string> Read(std::string_view digest) const;

  // As ImageFetcher::PruneBlobs.
  Result<std::uint64_t> Prune(const std::set<std::string>& kept_digests,
                              DryPrune* dry = nullptr) const;

 private:
  void RemoveLeftovers(std::uint64_t& bytes_freed, DryPrune* dry = nullptr) const;

  const std::filesystem::path root_;
};

// Reads a small file that pyro did not write. kInvalidArgument: it is no regular file; the read
// of a pipe would wait for its writer. kNotFound, kLimit.
Result<std::string> ReadRegularFile(const std::filesystem::path& file, std::size_t max_bytes);

// Reads a small file whose content has this digest. kDataLoss, kLimit.
Result<std::string> ReadBlob(const std::filesystem::path& file, std::string_view digest);

}  // namespace pyro::image
