#include "sys/extents.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sys/errno_error.h"

namespace pyro::sys {
namespace {

constexpr std::size_t kAtOnce = 512;
constexpr std::size_t kMostExtents = 1'000'000;

}  // namespace

Result<std::vector<Extent>> ExtentsOf(const UniqueFd& file) {
  // The kernel's struct ends in the array.
  std::vector<std::uint64_t> buffer((sizeof(fiemap) + kAtOnce * sizeof(fiemap_extent)) /
                                    sizeof(std::uint64_t));
  auto* const map = reinterpret_cast<fiemap*>(buffer.data());
  std::vector<Extent> extents;
  std::uint64_t at = 0;
  while (true) {
    std::fill(buffer.begin(), buffer.end(), 0);
    map->fm_start = at;
    map->fm_length = FIEMAP_MAX_OFFSET - at;
    map->fm_extent_count = kAtOnce;
    if (::ioctl(file.get(), FS_IOC_FIEMAP, map) != 0) {
      if (errno == EINTR) continue;
      return MakeError(ErrorCode::kUnavailable,
                       "the file system does not tell where a file's blocks are");
    }
    if (map->fm_mapped_extents == 0) return extents;
    for (std::size_t i = 0; i < map->fm_mapped_extents; ++i) {
      const fiemap_extent& one = map->fm_extents[i];
      const bool placed = (one.fe_flags & (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC)) == 0;
      extents.push_back({placed ? one.fe_physical : 0, one.fe_length,
                         (one.fe_flags & FIEMAP_EXTENT_SHARED) != 0});
      if ((one.fe_flags & FIEMAP_EXTENT_LAST) != 0) return extents;
      at = one.fe_logical + one.fe_length;
    }
    if (extents.size() > kMostExtents) {
      return MakeError(ErrorCode::kLimit, "a file is in more than a million pieces");
    }
  }
}

std::uint64_t BytesOfAll(std::vector<Extent> extents) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.physical < b.physical; });
  std::uint64_t total = 0;
  std::uint64_t end = 0;  // Of what is counted.
  for (const Extent& one : extents) {
    if (one.physical == 0) {
      total += one.bytes;
      continue;
    }
    const std::uint64_t last = one.physical + one.bytes;
    if (last <= end) continue;
    total += last - std::max(end, one.physical);
    end = last;
  }
  return total;
}

}  // namespace pyro::sys
