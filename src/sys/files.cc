#include "sys/files.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "base/ids.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/random.h"

namespace pyro::sys {
namespace fs = std::filesystem;

Result<UniqueFd> OpenFile(const fs::path& path, int flags, mode_t mode) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return ErrnoError(errno, "open", path.native());
  return UniqueFd(fd);
}

Result<UniqueFd> OpenRegularFile(const fs::path& path, int flags, mode_t mode) {
  // What is written through a link would change a file that is none of pyro's.
  const int guard = (flags & O_ACCMODE) == O_RDONLY ? 0 : O_NOFOLLOW;
  auto fd = OpenFile(path, flags | guard | O_NONBLOCK | O_NOCTTY, mode);
  struct stat info {};
  const bool there = fd ? ::fstat(fd->get(), &info) == 0 : ::lstat(path.c_str(), &info) == 0;
  const int number = fd ? 0 : fd.error().sys_errno;
  const bool looked = fd || number == ENOENT || number == ELOOP || number == ENXIO ||
                      number == EISDIR || number == ENOTDIR;
  if (there && looked && !S_ISREG(info.st_mode)) {
    return MakeError(ErrorCode::kDataLoss,
                     fmt::format("'{}' is not a regular file", Printable(path.native())),
                     "another program has put that there: move it away, or put the file back");
  }
  if (fd && ::fcntl(fd->get(), F_SETFL, flags & O_APPEND) != 0) {
    return ErrnoError(errno, "open", path.native());
  }
  return fd;
}

Result<std::string> ReadAll(int fd, std::size_t max_bytes) {
  std::string bytes;
  std::vector<char> buffer(16384);  // Not on the stack, which may be a small one of the caller's.
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "read");
    if (n == 0) return bytes;
    bytes.append(buffer.data(), static_cast<std::size_t>(n));
    if (bytes.size() > max_bytes) {
      return MakeError(ErrorCode::kLimit, fmt::format("more than {} bytes to read", max_bytes));
    }
  }
}

Result<std::string> ReadFile(const fs::path& path, std::size_t max_bytes) {
  PYRO_ASSIGN_OR_RETURN(const UniqueFd fd, OpenRegularFile(path, O_RDONLY));
  auto bytes = ReadAll(fd.get(), max_bytes);
  if (!bytes) {
    Error error = std::move(bytes).error();
    error.message = fmt::format("'{}': {}", Printable(path.native()), error.message);
    return error;
  }
  return bytes;
}

Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "write");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return OkStatus();
}

Status SyncDirectory(const fs::path& path) {
  PYRO_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return ErrnoError(errno, "sync", path.native());
  return OkStatus();
}

Status WriteFileAtomically(const fs::path& path, std::string_view bytes, mode_t mode) {
  const fs::path temporary = fmt::format("{}.tmp-{}", path.native(), EncodeBase32(RandomBits()));
  auto write = [&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(const UniqueFd fd,
                          OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    PYRO_RETURN_IF_ERROR(WriteAll(fd.get(), bytes));
    if (::fsync(fd.get()) != 0) return ErrnoError(errno, "sync", temporary.native());
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      return ErrnoError(errno, "rename", path.native());
    }
    return OkStatus();
  };
  if (Status status = write(); !status) {
    ::unlink(temporary.c_str());
    return status;
  }
  return SyncDirectory(path.parent_path());
}

Status MakeDirectories(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return OkStatus();
  const int number = errno;
  if (number == ENOENT && path.has_parent_path() && path.parent_path() != path) {
    PYRO_RETURN_IF_ERROR(MakeDirectories(path.parent_path()));
    if (::mkdir(path.c_str(), 0700) == 0) return OkStatus();
    if (errno != EEXIST) return ErrnoError(errno, "create directory", path.native());
  } else if (number != EEXIST) {
    return ErrnoError(number, "create directory", path.native());
  }
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return ErrnoError(errno, "stat", path.native());
  if (!S_ISDIR(info.st_mode)) return ErrnoError(ENOTDIR, "create directory", path.native());
  return OkStatus();
}

Status RemoveTree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error && error != std::errc::no_such_file_or_directory) {
    return ErrnoError(error.value(), "remove", path.native());
  }
  return OkStatus();
}

Result<std::uint64_t> FreeSpace(const fs::path& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) return ErrnoError(errno, "statvfs", path.native());
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

Result<std::uint64_t> FileSystemSize(const fs::path& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) return ErrnoError(errno, "statvfs", path.native());
  return static_cast<std::uint64_t>(info.f_blocks) * info.f_frsize;
}

Result<UniqueFd> MakeMemoryFile(std::string_view bytes) {
  UniqueFd file(::memfd_create("pyro", MFD_CLOEXEC));
  if (!file.valid()) return ErrnoError(errno, "memfd_create");
  PYRO_RETURN_IF_ERROR(WriteAll(file.get(), bytes));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return ErrnoError(errno, "lseek");
  return file;
}

Result<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoError(errno, "pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

namespace {

Result<SocketPair> MakePair(int type) {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0) {
    return ErrnoError(errno, "socketpair");
  }
  return SocketPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace

Result<SocketPair> MakeSocketPair() { return MakePair(SOCK_STREAM); }

Result<SocketPair> MakePacketPair() { return MakePair(SOCK_SEQPACKET); }

Status SetNonBlocking(int fd) {
  int on = 1;
  if (::ioctl(fd, FIONBIO, &on) != 0) return ErrnoError(errno, "set non-blocking");
  return OkStatus();
}

}  // namespace pyro::sys
