// The disks that were made of layers, each once for all images:
//
//   CACHE/oci/layers/<64 digits>.erofs   a read-only disk, and hard links to it in the versions
//   CACHE/oci/layers/<64 digits>.json    its record, which is written last
//
// The digits are of the layers in it. CACHE/oci/lock is held shared from the search for a disk
// until a version has its link, and exclusively to remove disks.

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "image/dry_prune.h"
#include "pyro/result.h"

namespace pyro::image {

// A value.
struct LayerDisk {
  std::uint64_t size = 0;             // In bytes.
  std::string sha256;                 // 64 lower-case hexadecimal digits.
  std::vector<std::string> left_out;  // As SealedImage::left_out.
};

inline constexpr std::size_t kMaxLayerRecordBytes = 1 << 20;

std::string FormatLayerRecord(const LayerDisk& disk);
// kDataLoss: it is longer than kMaxLayerRecordBytes, or not what FormatLayerRecord makes.
Result<LayerDisk> ParseLayerRecord(std::string_view text);

// The name of a disk for these layers. The lowest disk of an image marks nothing as hidden, so the
// same layers may have a second one for above others.
std::string LayerKey(const std::vector<std::string>& layer_digests, bool is_lowest);

// Safe for many processes and threads at once.
class LayerStore {
 public:
  // `root` is CACHE/oci and need not exist.
  explicit LayerStore(std::filesystem::path root) : root_(std::move(root)) {}

  // Links the disk of `key` to the new file `to`. nullopt: there is none whose bytes are those of
  // its record; a broken one is removed.
  Result<std::optional<LayerDisk>> Link(const std::string& key,
                                        const std::filesystem::path& to) const;

  // Keeps a finished disk, synced and read-only. No error if the file system has no hard links or
  // another process was first: it is then not kept.
  Status Add(const std::string& key, const std::filesystem::path& disk,
             const LayerDisk& record) const;

  // Removes the disks that no version has. Returns the bytes freed; 0 during a pull. With `dry` it
  // removes none, and the names counted there are gone.
  Result<std::uint64_t> Prune(DryPrune* dry = nullptr) const;

 private:
  std::filesystem::path DiskPath(const std::string& key) const;
  std::filesystem::path RecordPath(const std::string& key) const;

  const std::filesystem::path root_;
};

}  // namespace pyro::image
