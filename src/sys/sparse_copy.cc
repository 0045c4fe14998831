#include "sys/sparse_copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::sys {
namespace {

Status ReadAndWrite(int from, int to, off_t begin, off_t end) {
  std::vector<char> buffer(std::size_t{256} * 1024);
  while (begin < end) {
    const std::size_t most = std::min(buffer.size(), static_cast<std::size_t>(end - begin));
    const ssize_t n = ::pread(from, buffer.data(), most, begin);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "read a disk");
    if (n == 0) return MakeError(ErrorCode::kDataLoss, "a disk shrank while it was copied");
    for (ssize_t done = 0; done < n;) {
      const ssize_t written =
          ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(n - done), begin + done);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoError(errno, "copy a disk");
      done += written;
    }
    begin += n;
  }
  return OkStatus();
}

// Of one system call, so that a stop is noticed soon.
constexpr off_t kStep = 32 << 20;

Status CopyRange(int from, int to, off_t begin, off_t end, const std::atomic<bool>* stop) {
  while (begin < end) {
    if (stop != nullptr && stop->load()) return MakeError(ErrorCode::kCancelled, "cancelled");
    off_t in = begin;
    off_t out = begin;
    const off_t step = std::min(kStep, end - begin);
    const ssize_t n = ::copy_file_range(from, &in, to, &out, static_cast<std::size_t>(step), 0);
    if (n < 0 && errno == EINTR) continue;
    // The two may be on different file systems.
    if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
      PYRO_RETURN_IF_ERROR(ReadAndWrite(from, to, begin, begin + step));
      begin += step;
      continue;
    }
    if (n < 0) return ErrnoError(errno, "copy a disk");
    if (n == 0) return MakeError(ErrorCode::kDataLoss, "a disk shrank while it was copied");
    begin += n;
  }
  return OkStatus();
}

Status CopyData(int from, int to, const std::atomic<bool>* stop) {
  struct stat info {};
  if (::fstat(from, &info) != 0) return ErrnoError(errno, "stat");
  if (::ftruncate(to, info.st_size) != 0) return ErrnoError(errno, "size a disk");
  for (off_t at = 0; at < info.st_size;) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // Only a hole is left.
    if (data < 0) return ErrnoError(errno, "find data");
    const off_t hole = ::lseek(from, data, SEEK_HOLE);
    if (hole < 0) return ErrnoError(errno, "find a hole");
    PYRO_RETURN_IF_ERROR(CopyRange(from, to, data, hole, stop));
    at = hole;
  }
  return OkStatus();
}

}  // namespace

bool ShareBlocks(const UniqueFd& from, const UniqueFd& to) {
  return ::ioctl(to.get(), FICLONE, from.get()) == 0;
}

Status CopySparse(const UniqueFd& from, const UniqueFd& to, const std::atomic<bool>* stop) {
  if (::ftruncate(to.get(), 0) != 0) return ErrnoError(errno, "empty a disk");
  if (ShareBlocks(from, to)) return OkStatus();
  return CopyData(from.get(), to.get(), stop);
}

Result<UniqueFd> CloneSparse(const std::filesystem::path& source,
                             const std::filesystem::path& destination) {
  PYRO_ASSIGN_OR_RETURN(const UniqueFd from, OpenFile(source, O_RDONLY));
  PYRO_ASSIGN_OR_RETURN(UniqueFd to, OpenFile(destination, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (Status copied = CopySparse(from, to); !copied) {
    ::unlink(destination.c_str());
    return std::move(copied).error();
  }
  return to;
}

}  // namespace pyro::sys
