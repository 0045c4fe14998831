// A directory of this host as a sync sees it.

#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "archive/ignore.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "wire/trees.h"

namespace pyro::engine {

struct HostScan {
  // Both of the directory, borrowed.
  int root = -1;
  const std::filesystem::path& where;
  bool read_ignores = true;  // .gitignore, .git/info/exclude and .dockerignore count.
  std::vector<std::filesystem::path> without;  // These are left out, and `rules` say so.
  int cancel_fd = -1;
};

// Lists what is below the directory and is not ignored, as the agent's program for trees does it in
// a guest. `rules` gets the rules that stand in it. What vanishes meanwhile is left out.
// kPermissionDenied: a directory cannot be read. kLimit: too many files. kCancelled.
Result<wire::Tree> ScanHostTree(const HostScan& scan, archive::Ignores& rules);

// Since the epoch, as in a wire::TreeEntry.
std::int64_t InNanoseconds(const timespec& time);

}  // namespace pyro::engine
