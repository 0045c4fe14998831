#include "sys/data_ranges.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace pyro::sys {

std::optional<std::vector<FileRange>> DataRanges(int fd, const struct stat& info) {
  // A compressed file system takes fewer blocks, too: then there are no holes below.
  if (static_cast<std::int64_t>(info.st_blocks) * 512 >= info.st_size) return std::nullopt;
  std::vector<FileRange> ranges;
  for (off_t end = 0; end < info.st_size;) {
    const off_t begin = ::lseek(fd, end, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;  // A hole up to the end.
    if (begin < 0) return std::nullopt;
    if (begin >= info.st_size) break;
    const off_t hole = ::lseek(fd, begin, SEEK_HOLE);
    if (hole <= begin) return std::nullopt;
    end = std::min<off_t>(hole, info.st_size);
    ranges.push_back({begin, end - begin});
  }
  if (ranges.size() == 1 && ranges[0].length == info.st_size) return std::nullopt;
  return ranges;
}

}  // namespace pyro::sys
