#include "downloads/store_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "downloads/sha256.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::downloads {
namespace {

constexpr std::string_view kPartialTop = "partial";

bool IsHexText(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// The names of a directory; borrowed.
std::vector<std::string> NamesIn(int fd) {
  std::vector<std::string> names;
  sys::UniqueFd copy(::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy.valid()) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy.get()), &::closedir);
  if (stream == nullptr) return names;
  static_cast<void>(copy.Release());
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

void AddFiles(int folder, const std::string& path, bool any_name, std::vector<StoreFile>& files) {
  for (std::string& name : NamesIn(folder)) {
    struct stat info {};
    if (!any_name && !IsSha256(name)) continue;
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!any_name && !S_ISREG(info.st_mode)) continue;
    if (S_ISDIR(info.st_mode)) continue;
    files.push_back({.folder = path,
                     .name = std::move(name),
                     .time_s = info.st_mtim.tv_sec,
                     .bytes = static_cast<std::uint64_t>(info.st_blocks) * 512});
  }
}

}  // namespace

Result<StoreFiles> StoreFiles::Open(const std::filesystem::path& root) {
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd fd, sys::OpenFile(root, O_RDONLY | O_DIRECTORY));
  return StoreFiles(std::move(fd));
}

Result<std::optional<sys::FileLock>> StoreFiles::TryLock(const char* name, sys::FileLock::Mode mode,
                                                         bool create) const {
  const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT : 0);
  sys::UniqueFd fd(::openat(root_.get(), name, flags, 0600));
  if (!fd.valid()) return sys::ErrnoError(errno, "open", name);
  const int operation = mode == sys::FileLock::Mode::kShared ? LOCK_SH : LOCK_EX;
  while (::flock(fd.get(), operation | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return std::optional<sys::FileLock>();
    return sys::ErrnoError(errno, "lock", name);
  }
  return std::optional(sys::FileLock::Adopt(std::move(fd)));
}

sys::UniqueFd StoreFiles::Folder(std::string_view path) const {
  int at = root_.get();
  sys::UniqueFd folder;
  for (const std::string_view part : Split(path, '/')) {
    sys::UniqueFd next(
        ::openat(at, std::string(part).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid()) return next;
    folder = std::move(next);
    at = folder.get();
  }
  return folder;
}

std::vector<StoreFile> StoreFiles::List(std::string_view top) const {
  std::vector<StoreFile> files;
  const sys::UniqueFd folder = Folder(top);
  if (!folder.valid()) return files;
  if (top == kPartialTop) {
    AddFiles(folder.get(), std::string(top), true, files);
    return files;
  }
  for (const std::string& name : NamesIn(folder.get())) {
    if (name.size() != 2 || !IsHexText(name)) continue;
    const std::string path = fmt::format("{}/{}", top, name);
    const sys::UniqueFd inner = Folder(path);
    if (inner.valid()) AddFiles(inner.get(), path, false, files);
  }
  return files;
}

std::optional<std::string> StoreFiles::Read(const StoreFile& file, std::size_t max_bytes) const {
  const sys::UniqueFd folder = Folder(file.folder);
  if (!folder.valid()) return std::nullopt;
  const sys::UniqueFd fd(
      ::openat(folder.get(), file.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  auto text = sys::ReadAll(fd.get(), max_bytes);
  return text ? std::optional(*std::move(text)) : std::nullopt;
}

bool StoreFiles::Remove(const StoreFile& file) const {
  const sys::UniqueFd folder = Folder(file.folder);
  return folder.valid() && ::unlinkat(folder.get(), file.name.c_str(), 0) == 0;
}

}  // namespace pyro::downloads
