// Where a file has bytes and where holes.

#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace pyro::sys {

struct FileRange {
  std::int64_t offset = 0;  // Bytes from the begin of the file.
  std::int64_t length = 0;  // Bytes.
};

// The parts of a file that are no holes, ascending; nullopt: it has none, or its file system cannot
// tell. `info` is what fstat() says of `fd`. Afterwards the position of `fd` is undefined.
std::optional<std::vector<FileRange>> DataRanges(int fd, const struct stat& info);

}  // namespace pyro::sys
