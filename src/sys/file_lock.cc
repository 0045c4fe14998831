#include "sys/file_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::sys {

Result<std::optional<FileLock>> FileLock::TryAcquire(const std::filesystem::path& path, Mode mode) {
  const int operation = mode == Mode::kShared ? LOCK_SH : LOCK_EX;
  while (true) {
    PYRO_ASSIGN_OR_RETURN(UniqueFd fd, OpenRegularFile(path, O_RDWR | O_CREAT));
    while (::flock(fd.get(), operation | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return std::optional<FileLock>();
      return ErrnoError(errno, "lock", path.native());
    }
    // The previous holder may have removed the file: a lock on an unlinked file protects nothing.
    struct stat ours {};
    struct stat named {};
    if (::fstat(fd.get(), &ours) == 0 && ::stat(path.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
      return std::optional<FileLock>(FileLock(std::move(fd)));
    }
    if (errno == ENOENT && ::access(path.parent_path().c_str(), F_OK) != 0) {
      return ErrnoError(ENOENT, "lock", path.native());
    }
  }
}

Result<FileLock> FileLock::Acquire(const std::filesystem::path& path, Deadline deadline) {
  while (true) {
    PYRO_ASSIGN_OR_RETURN(std::optional<FileLock> lock, TryAcquire(path));
    if (lock) return std::move(*lock);
    if (deadline.Expired()) return ErrnoError(ETIMEDOUT, "lock", path.native());
    ::poll(nullptr, 0, 20);
  }
}

}  // namespace pyro::sys
