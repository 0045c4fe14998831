// Empty disks for guests: made once per size, then copied as sparse files.

#pragma once

#include <cstdint>
#include <filesystem>

#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

inline constexpr std::uint64_t kMinBlankBytes = 64ULL << 20;
inline constexpr std::uint64_t kMaxBlankBytes = 1ULL << 40;

// A raw image of `size` bytes with an empty ext4 on it, owned by root in the guest, kept in
// `cache_dir`/blank. It is sparse (a few hundred KiB on disk for 10 GiB) and tells the kernel that
// its inode tables are zero already, so that a guest does not fill them in. Read-only: copy it with
// sys::CloneSparse. Any number of processes may call this at once. kInvalidArgument: not a multiple
// of 1 MiB, or beyond the limits above. kMissingTool: no mke2fs.
Result<std::filesystem::path> EnsureBlankDisk(const std::filesystem::path& cache_dir,
                                              std::uint64_t size, const ToolPaths& tools = {});

// Makes the new file `file` of `size` bytes, as above, for the tree of an image with up to `inodes`
// files. kMissingTool: no mke2fs.
Status MakeImageDisk(const std::filesystem::path& file, std::uint64_t size, std::uint64_t inodes,
                     const ToolPaths& tools = {});

}  // namespace pyro::image
