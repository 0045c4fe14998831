// What trees take of the disk, while other processes change them.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <set>
#include <utility>

namespace pyro::sys {

// Counts blocks that are allocated, and each file once, although it may have several names in the
// trees. A file or directory that disappears meanwhile counts nothing, and hides no other. An
// object belongs to one thread.
class DiskWalk {
 public:
  // The bytes of the tree that no tree before had; it is not followed through links.
  std::uint64_t Add(const std::filesystem::path& tree);

 private:
  std::uint64_t AddFile(const std::filesystem::path& file, bool& is_directory);

  std::set<std::pair<dev_t, ino_t>> linked_;  // Files with several names.
};

// The same, of one tree alone.
std::uint64_t DiskUsage(const std::filesystem::path& tree);

}  // namespace pyro::sys
