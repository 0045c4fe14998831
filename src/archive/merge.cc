#include "archive/merge.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "archive/tree_extractor.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/unique_fd.h"

namespace pyro::archive {
namespace {

constexpr int kOpenMerged = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

Result<std::vector<std::string>> EntriesOf(int directory, const std::string& path) {
  DIR* const stream = ::fdopendir(::fcntl(directory, F_DUPFD_CLOEXEC, 0));
  if (stream == nullptr) return sys::ErrnoError(errno, "read", path);
  ::rewinddir(stream);  // The position is shared with the descriptor.
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

class Merger {
 public:
  Merger(const std::string& where, DirectoryStates& states) : where_(where), states_(states) {}

  // `name`: of both, below the roots. Without `move` it is only looked for what is in the way.
  Status Merge(int from, int into, const std::string& name, bool move) {
    if (!move) states_.erase(name);  // Before any is moved: what is left are new ones.
    const std::string path = where_ + (name.empty() ? "" : "/") + name;
    PYRO_ASSIGN_OR_RETURN(const auto leaves, EntriesOf(from, path));
    for (const std::string& leaf : leaves) {
      const std::string whole = path + "/" + leaf;
      struct stat new_info {};
      struct stat old_info {};
      if (::fstatat(from, leaf.c_str(), &new_info, AT_SYMLINK_NOFOLLOW) != 0) {
        return sys::ErrnoError(errno, "read", whole);
      }
      const bool there = ::fstatat(into, leaf.c_str(), &old_info, AT_SYMLINK_NOFOLLOW) == 0;
      const bool directory = S_ISDIR(new_info.st_mode);
      if (there && directory != S_ISDIR(old_info.st_mode)) return InTheWay(whole, directory);
      if (!move && !(there && directory)) continue;
      const auto rename = [&] { return ::renameat(from, leaf.c_str(), into, leaf.c_str()) == 0; };
      if (!directory) {
        if (!rename()) return sys::ErrnoError(errno, "replace", whole);
        continue;
      }
      const sys::UniqueFd below(::openat(from, leaf.c_str(), kOpenMerged));
      if (!below.valid()) return sys::ErrnoError(errno, "enter", whole);
      const std::string child = name + (name.empty() ? "" : "/") + leaf;
      if (!there) {
        PYRO_RETURN_IF_ERROR(PlaceDirectory(below.get(), child, states_, where_, rename));
        continue;
      }
      const sys::UniqueFd there_fd(::openat(into, leaf.c_str(), kOpenMerged));
      if (!there_fd.valid()) return sys::ErrnoError(errno, "enter", whole);
      PYRO_RETURN_IF_ERROR(Merge(below.get(), there_fd.get(), child, move));
    }
    return OkStatus();
  }

 private:
  static Error InTheWay(const std::string& path, bool directory) {
    return MakeError(
        directory ? ErrorCode::kNotDirectory : ErrorCode::kIsDirectory,
        fmt::format("'{}' is {}, and what is copied to it is {}", Printable(path),
                    directory ? "no directory" : "a directory", directory ? "one" : "none"),
        "remove it, or copy to another place");
  }

  const std::string& where_;
  DirectoryStates& states_;
};

}  // namespace

Status MergeTree(int from, int into, const std::string& where, DirectoryStates& states) {
  Merger merger(where, states);
  PYRO_RETURN_IF_ERROR(merger.Merge(from, into, "", false));
  return merger.Merge(from, into, "", true);
}

}  // namespace pyro::archive
