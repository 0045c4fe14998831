#include "sys/disk_walk.h"

#include <sys/stat.h>

#include <system_error>
#include <vector>

namespace pyro::sys {

namespace fs = std::filesystem;

std::uint64_t DiskWalk::AddFile(const fs::path& file, bool& is_directory) {
  struct stat info {};
  is_directory = false;
  if (::lstat(file.c_str(), &info) != 0) return 0;
  is_directory = S_ISDIR(info.st_mode);
  const bool known =
      !is_directory && info.st_nlink > 1 && !linked_.emplace(info.st_dev, info.st_ino).second;
  return known ? 0 : static_cast<std::uint64_t>(info.st_blocks) * 512;
}

std::uint64_t DiskWalk::Add(const fs::path& tree) {
  std::uint64_t total = 0;
  std::vector<fs::path> waiting = {tree};
  while (!waiting.empty()) {
    const fs::path path = std::move(waiting.back());
    waiting.pop_back();
    bool is_directory = false;
    total += AddFile(path, is_directory);
    if (!is_directory) continue;
    std::error_code error;
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
      waiting.push_back(it->path());
    }
  }
  return total;
}

std::uint64_t DiskUsage(const fs::path& tree) { return DiskWalk().Add(tree); }

}  // namespace pyro::sys
