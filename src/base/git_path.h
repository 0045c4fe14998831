// Names of git's own files.

#pragma once

#include <algorithm>
#include <string_view>

namespace pyro {

// Whether a relative path is that of a .git, or of what is in one.
inline bool IsInGit(std::string_view path) {
  while (true) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (path.substr(0, end) == ".git") return true;
    if (end == path.size()) return false;
    path.remove_prefix(end + 1);
  }
}

}  // namespace pyro
