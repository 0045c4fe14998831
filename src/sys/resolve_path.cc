#include "sys/resolve_path.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::sys {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // As the kernel's limit.

// The last one is the first to look at.
void Push(const fs::path& path, std::vector<fs::path>& parts) {
  const auto begin = static_cast<std::ptrdiff_t>(parts.size());
  for (const fs::path& part : path.relative_path()) parts.push_back(part);
  std::reverse(parts.begin() + begin, parts.end());
}

Status CheckFollowed(const fs::path& directory, const fs::path& name, const struct stat& link) {
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) {
    return ErrnoError(errno, "stat", directory.native());
  }
  const bool shared = (info.st_mode & S_ISVTX) != 0 && (info.st_mode & S_IWOTH) != 0;
  if (!shared || link.st_uid == ::geteuid() || link.st_uid == info.st_uid) return OkStatus();
  return MakeError(ErrorCode::kPermissionDenied,
                   fmt::format("'{}' is a link that another user has put into a directory of all",
                               Printable((directory / name).native(), 400)),
                   "choose another name, or a directory of your own");
}

}  // namespace

Result<fs::path> ResolvePath(const fs::path& path) {
  if (path.native().find('\0') != std::string::npos) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' holds a NUL byte", Printable(path.native(), 400)),
                     "no file can have such a name");
  }
  std::error_code failed;
  std::vector<fs::path> parts;
  Push(fs::absolute(path, failed), parts);
  if (failed) return ErrnoError(failed.value(), "find", path.native());
  fs::path at = "/";
  int links = 0;
  while (!parts.empty()) {
    const fs::path name = std::move(parts.back());
    parts.pop_back();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      at = at.parent_path();
      continue;
    }
    // What is looked at is what is read, although another may replace it meanwhile.
    const UniqueFd fd(::open((at / name).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info {};
    if (!fd.valid() || ::fstat(fd.get(), &info) != 0) {
      return ErrnoError(errno, "find", path.native());
    }
    if (!S_ISLNK(info.st_mode)) {
      // A slash, "." or ".." behind a file is another part, which only a directory can have.
      if (!S_ISDIR(info.st_mode) && !parts.empty()) {
        return ErrnoError(ENOTDIR, "find", path.native());
      }
      at /= name;
      continue;
    }
    PYRO_RETURN_IF_ERROR(CheckFollowed(at, name, info));
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(fd.get(), "", target.data(), target.size());
    if (size < 0) return ErrnoError(errno, "find", path.native());
    if (++links > kMostLinks) return ErrnoError(ELOOP, "find", path.native());
    const fs::path leads(std::string(target.data(), static_cast<std::size_t>(size)));
    if (leads.is_absolute()) at = "/";
    Push(leads, parts);
  }
  return at;
}

}  // namespace pyro::sys
