#include "environment/blank.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/try.h"
#include "environment/install_paths.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::environment {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMiB = 1 << 20;

Status MakeFilesystem(const ToolPaths& tools, const fs::path& image, std::uint64_t size) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                        sys::OpenFile(image, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return sys::ErrnoError(errno, "make", image.native());
  }
  // A small journal: what a guest writes is lost with it, or synced by it. No reserved blocks: only
  // root writes here.
  PYRO_RETURN_IF_ERROR(Capture(
      tools,
      {"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-J", "size=8", "-O",
       "^resize_inode", "-E", "assume_storage_prezeroed=1,root_owner=0:0,nodiscard", image}));
  if (::fchmod(fd.get(), 0400) != 0) return sys::ErrnoError(errno, "chmod", image.native());
  if (::fsync(fd.get()) != 0) return sys::ErrnoError(errno, "sync", image.native());
  return OkStatus();
}

Status ReadAndWrite(int from, int to, off_t begin, off_t end) {
  std::vector<char> buffer(std::size_t{256} * 1024);
  while (begin < end) {
    const std::size_t most = std::min(buffer.size(), static_cast<std::size_t>(end - begin));
    const ssize_t n = ::pread(from, buffer.data(), most, begin);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sys::ErrnoError(errno, "read a blank disk");
    if (n == 0) return MakeError(ErrorCode::kDataLoss, "the blank disk shrank while it was copied");
    for (ssize_t done = 0; done < n;) {
      const ssize_t written =
          ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(n - done), begin + done);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return sys::ErrnoError(errno, "copy a disk");
      done += written;
    }
    begin += n;
  }
  return OkStatus();
}

Status CopyRange(int from, int to, off_t begin, off_t end) {
  while (begin < end) {
    off_t in = begin;
    off_t out = begin;
    const ssize_t n =
        ::copy_file_range(from, &in, to, &out, static_cast<std::size_t>(end - begin), 0);
    if (n < 0 && errno == EINTR) continue;
    // The cache and the state directory may be on different file systems.
    if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
      return ReadAndWrite(from, to, begin, end);
    }
    if (n < 0) return sys::ErrnoError(errno, "copy a disk");
    if (n == 0) return MakeError(ErrorCode::kDataLoss, "the blank disk shrank while it was copied");
    begin += n;
  }
  return OkStatus();
}

Status CopySparse(int from, int to) {
  struct stat info {};
  if (::fstat(from, &info) != 0) return sys::ErrnoError(errno, "stat");
  if (::ftruncate(to, info.st_size) != 0) return sys::ErrnoError(errno, "size a disk");
  for (off_t at = 0; at < info.st_size;) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // Only a hole is left.
    if (data < 0) return sys::ErrnoError(errno, "find data");
    const off_t hole = ::lseek(from, data, SEEK_HOLE);
    if (hole < 0) return sys::ErrnoError(errno, "find a hole");
    PYRO_RETURN_IF_ERROR(CopyRange(from, to, data, hole));
    at = hole;
  }
  return OkStatus();
}

}  // namespace

Result<fs::path> EnsureBlankDisk(const fs::path& cache_dir, std::uint64_t size,
                                 const ToolPaths& tools) {
  if (size < kMinBlankBytes || size > kMaxBlankBytes || size % kMiB != 0) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("a disk cannot have {} bytes", size),
                     "choose a multiple of 1 MiB from 64 MiB to 1 TiB");
  }
  const fs::path folder = fs::absolute(cache_dir) / "blank";
  const fs::path path = folder / fmt::format("ext4-1-{}m.img", size / kMiB);
  if (::access(path.c_str(), R_OK) == 0) return path;
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(folder));
  const fs::path temporary = FreshName(folder, kTrashPrefix);
  Status made = MakeFilesystem(tools, temporary, size);
  if (made && ::rename(temporary.c_str(), path.c_str()) != 0)
    made = sys::ErrnoError(errno, "rename", path.native());
  if (!made) {
    ::unlink(temporary.c_str());
    return std::move(made).error();
  }
  return path;
}

Result<sys::UniqueFd> CloneBlank(const fs::path& blank, const fs::path& destination) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd from, sys::OpenFile(blank, O_RDONLY));
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd to,
                        sys::OpenFile(destination, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (::ioctl(to.get(), FICLONE, from.get()) == 0) return to;
  Status copied = CopySparse(from.get(), to.get());
  if (!copied) {
    ::unlink(destination.c_str());
    return std::move(copied).error();
  }
  return to;
}

}  // namespace pyro::environment
