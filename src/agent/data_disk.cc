#include "agent/data_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sys/errno_error.h"

namespace pyro::agent {
namespace {

// Less is not worth a look at the whole disk.
constexpr std::uint64_t kWorthGivingBack = 16 << 20;

Status SyncAll(int directory) {
  if (::syncfs(directory) == 0) return OkStatus();
  return sys::ErrnoError(errno, "sync", "data disk");
}

// A sync answers that all is well if an error has ended all writes before it, or if the journal
// could not be written just before the sync waits for it. Kernels from 6.12 on show that nowhere,
// but refuse to begin a change. This one changes nothing: there is no such attribute.
Status CheckTakesChanges(int directory) {
  struct statvfs disk {};
  if (::fstatvfs(directory, &disk) != 0) return sys::ErrnoError(errno, "stat", "data disk");
  if ((disk.f_flag & ST_RDONLY) != 0) return sys::ErrnoError(EROFS, "write", "data disk");
  if (::fsetxattr(directory, "trusted.pyro", "", 0, XATTR_REPLACE) == 0 || errno == ENODATA) {
    return OkStatus();
  }
  return sys::ErrnoError(errno, "write", "data disk");
}

}  // namespace

DataDisk::DataDisk() : DataDisk(SyncAll, CheckTakesChanges) {}

DataDisk::DataDisk(Try sync, Try check) : sync_(std::move(sync)), check_(std::move(check)) {}

// The kernel tells an error of a file's content to one sync, and goes on. Commands that run or wait
// for the next sync may have written that file, and later ones may rename it.
Status DataDisk::Sync(int directory) {
  const Status synced = TrySync(directory);
  if (failed_) return *failed_;
  if (synced) GiveBack(directory);
  return synced;
}

Status DataDisk::TrySync(int directory) {
  if (Status synced = sync_(directory); !synced) {
    if (!failed_) failed_ = synced.error();
    return synced;
  }
  Status checked = check_(directory);
  if (checked || failed_) return checked;
  // Another one, such as a lack of memory, says nothing of the disk.
  const int number = checked.error().sys_errno;
  if (number == EROFS || number == EIO) failed_ = checked.error();
  return checked;
}

// After a sync that went well, so that the blocks' deletion is on disk.
void DataDisk::GiveBack(int directory) {
  struct statvfs disk {};
  if (::fstatvfs(directory, &disk) != 0) return;
  const std::uint64_t free_bytes = static_cast<std::uint64_t>(disk.f_bfree) * disk.f_frsize;
  least_free_ = std::min(least_free_.value_or(free_bytes), free_bytes);
  if (free_bytes - *least_free_ < kWorthGivingBack) return;
  fstrim_range all = {.start = 0, .len = UINT64_MAX, .minlen = 0};
  (void)::ioctl(directory, FITRIM, &all);
  least_free_ = free_bytes;
}

}  // namespace pyro::agent
