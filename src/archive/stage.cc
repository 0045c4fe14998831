#include "archive/stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/ids.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/random.h"
#include "sys/tree_steps.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

constexpr int kTries = 10;
constexpr std::size_t kBootDigits = 8;
constexpr std::size_t kRandomDigits = 26;
constexpr std::size_t kMaxScanned = 100'000;

// A lock of a process on another machine, or before a reboot, may not be seen here. So a stage's
// name begins with the boot that it belongs to.
std::string Prefix() {
  const auto boot = sys::ReadFile("/proc/sys/kernel/random/boot_id", 4096);
  return fmt::format(".pyro-export-{:0<{}}-", boot.value_or("").substr(0, kBootDigits),
                     kBootDigits);
}

bool IsSame(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// False: another process has taken it for abandoned in the moment before it was locked. Where there
// are no locks, none is seen by others either.
bool Lock(const Stage& stage) {
  if (::flock(stage.fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  struct stat held {};
  struct stat named {};
  return ::fstat(stage.fd.get(), &held) == 0 && ::lstat(stage.path.c_str(), &named) == 0 &&
         IsSame(held, named);
}

template <typename F>
Result<Stage> Make(const fs::path& directory, F open) {
  for (int i = 0; i < kTries; ++i) {
    Stage stage;
    stage.path = directory / (Prefix() + EncodeBase32(sys::RandomBits()));
    PYRO_ASSIGN_OR_RETURN(stage.fd, open(stage.path));
    if (Lock(stage)) return stage;
  }
  return MakeError(ErrorCode::kUnavailable, fmt::format("'{}': another process removes new files",
                                                        Printable(directory.native())));
}

// True if no user but this one and root can rename what is in it.
bool IsOwn(const struct stat& directory) {
  if (directory.st_uid != ::geteuid() && directory.st_uid != 0) return false;
  return (directory.st_mode & 022) == 0 || (directory.st_mode & S_ISVTX) != 0;
}

void RemoveIfAbandoned(int directory, const fs::path& path, const std::string& name) {
  sys::UniqueFd fd(
      ::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat held {};
  struct stat named {};
  if (!fd.valid() || ::fstat(fd.get(), &held) != 0 || held.st_uid != ::geteuid()) return;
  if (!S_ISREG(held.st_mode) && !S_ISDIR(held.st_mode)) return;
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return;
  if (::fstatat(directory, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (IsSame(held, named)) RemoveStage({path / name, std::move(fd)});
}

// So that what is in the directories below can be removed.
void MakeWritable(int directory) {
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const handle = copy < 0 ? nullptr : ::fdopendir(copy);
  if (handle == nullptr) {
    if (copy >= 0) ::close(copy);
    return;
  }
  while (const dirent* const entry = ::readdir(handle)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const sys::UniqueFd below(
        ::openat(directory, entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!below.valid()) continue;
    (void)sys::ChangeMode(below.get(), 0700);
    MakeWritable(below.get());
  }
  ::closedir(handle);
}

}  // namespace

Result<Stage> MakeStageDirectory(const fs::path& directory) {
  return Make(directory, [](const fs::path& path) -> Result<sys::UniqueFd> {
    if (::mkdir(path.c_str(), 0700) != 0) {
      return sys::ErrnoError(errno, "create directory", path.native());
    }
    return sys::OpenFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  });
}

Result<Stage> MakeStageFile(const fs::path& directory, mode_t mode) {
  return Make(directory, [mode](const fs::path& path) {
    return sys::OpenFile(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  });
}

void RemoveStage(Stage stage) {
  if (sys::RemoveTree(stage.path)) return;
  (void)::fchmod(stage.fd.get(), 0700);
  MakeWritable(stage.fd.get());
  (void)sys::RemoveTree(stage.path);
}

void RemoveAbandonedStages(const fs::path& directory) {
  auto fd = sys::OpenFile(directory, O_RDONLY | O_DIRECTORY);
  struct stat info {};
  if (!fd || ::fstat(fd->get(), &info) != 0 || !IsOwn(info)) return;
  const int copy = ::fcntl(fd->get(), F_DUPFD_CLOEXEC, 0);
  DIR* const handle = copy < 0 ? nullptr : ::fdopendir(copy);
  if (handle == nullptr) {
    if (copy >= 0) ::close(copy);
    return;
  }
  const std::string prefix = Prefix();
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kMaxScanned; ++i) {
    const dirent* const entry = ::readdir(handle);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name.starts_with(prefix) && name.size() == prefix.size() + kRandomDigits) {
      names.emplace_back(name);
    }
  }
  ::closedir(handle);
  for (const std::string& name : names) RemoveIfAbandoned(fd->get(), directory, name);
}

}  // namespace pyro::archive
