#include "state/disk_reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::state {
namespace {

// The space that must be free before the reserve is taken.
constexpr std::uint64_t kWantedBytes = 4 * kDiskReserveBytes;

constexpr const char* kReadOnly = "read-only";

Status Allocate(const std::filesystem::path& file) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                        sys::OpenRegularFile(file, O_WRONLY | O_CREAT, 0600));
  const int number =
      ::posix_fallocate(fd.get(), 0, static_cast<off_t>(kDiskReserveBytes));  // Not by errno.
  if (number != 0) return sys::ErrnoError(number, "reserve room in", file.native());
  return OkStatus();
}

}  // namespace

DiskReserve::DiskReserve(const std::filesystem::path& directory) : file_(directory / "reserve") {
  struct stat info {};
  full_ = ::stat(file_.c_str(), &info) == 0 &&
          static_cast<std::uint64_t>(info.st_blocks) * 512 >= kDiskReserveBytes;
}

Status DiskReserve::Fill() {
  if (full_) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t room, sys::FreeSpace(file_.parent_path()));
  if (room < kWantedBytes) {
    return MakeError(ErrorCode::kNoSpace, "the disk is almost full", "free some space");
  }
  if (Status status = Allocate(file_); !status) {
    ::unlink(file_.c_str());
    return status;
  }
  full_ = true;
  return OkStatus();
}

void MarkReadOnly(const std::filesystem::path& directory, bool read_only) {
  const std::filesystem::path mark = directory / kReadOnly;
  if (!read_only) {
    (void)::unlink(mark.c_str());
  } else {
    (void)sys::OpenRegularFile(mark, O_WRONLY | O_CREAT, 0600);
  }
}

bool IsReadOnly(const std::filesystem::path& directory) {
  return ::access((directory / kReadOnly).c_str(), F_OK) == 0;
}

bool IsStarving(const std::filesystem::path& directory) {
  if (DiskReserve(directory).full()) return false;
  const auto room = sys::FreeSpace(directory);
  return room && *room < kWantedBytes;
}

bool DiskReserve::Release() {
  if (!full_) return false;
  full_ = false;
  return ::unlink(file_.c_str()) == 0;
}

}  // namespace pyro::state
