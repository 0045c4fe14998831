// Where a file's bytes are on its file system.

#pragma once

#include <cstdint>
#include <vector>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

struct Extent {
  std::uint64_t physical = 0;  // Bytes from the begin of the device; 0: not placed yet.
  std::uint64_t bytes = 0;
  bool shared = false;  // With another file, or with another part of this one.
};

// kUnavailable: the file system does not tell. kLimit: there are more than a million.
Result<std::vector<Extent>> ExtentsOf(const UniqueFd& file);

// The bytes that the extents of files on one file system take together: what several have counts
// once.
std::uint64_t BytesOfAll(std::vector<Extent> extents);

}  // namespace pyro::sys
