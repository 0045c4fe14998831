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
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

Status Merge(int from, int into, const std::string& path) {
  PYRO_ASSIGN_OR_RETURN(const auto names, EntriesOf(from, path));
  for (const std::string& name : names) {
    const std::string whole = path + "/" + name;
    struct stat new_info {};
    struct stat old_info {};
    if (::fstatat(from, name.c_str(), &new_info, AT_SYMLINK_NOFOLLOW) != 0) {
      return sys::ErrnoError(errno, "read", whole);
    }
    const bool there = ::fstatat(into, name.c_str(), &old_info, AT_SYMLINK_NOFOLLOW) == 0;
    const bool directory = S_ISDIR(new_info.st_mode);
    if (there && directory != S_ISDIR(old_info.st_mode)) {
      return MakeError(
          directory ? ErrorCode::kNotDirectory : ErrorCode::kIsDirectory,
          fmt::format("'{}' is {}, and what is copied to it is {}", Printable(whole),
                      directory ? "no directory" : "a directory", directory ? "one" : "none"),
          "remove it, or copy to another place");
    }
    if (!there || !directory) {
      if (::renameat(from, name.c_str(), into, name.c_str()) == 0) continue;
      return sys::ErrnoError(errno, "replace", whole);
    }
    const sys::UniqueFd below(::openat(from, name.c_str(), kOpenMerged));
    const sys::UniqueFd there_fd(::openat(into, name.c_str(), kOpenMerged));
    if (!below.valid() || !there_fd.valid()) return sys::ErrnoError(errno, "enter", whole);
    PYRO_RETURN_IF_ERROR(Merge(below.get(), there_fd.get(), whole));
  }
  return OkStatus();
}

}  // namespace

Status MergeTree(const std::filesystem::path& from, const std::filesystem::path& into) {
  const sys::UniqueFd source(::open(from.c_str(), kOpenMerged));
  if (!source.valid()) return sys::ErrnoError(errno, "open", from.native());
  // The directory itself may be named by a link: its user names it.
  const sys::UniqueFd target(::open(into.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!target.valid()) return sys::ErrnoError(errno, "open", into.native());
  return Merge(source.get(), target.get(), into.native());
}

}  // namespace pyro::archive
