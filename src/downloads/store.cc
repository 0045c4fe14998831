#include "downloads/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/random.h"

namespace pyro::downloads {
namespace {

namespace fs = std::filesystem;

// How much may come in before all of the store is counted again: a part of its limit.
constexpr std::uint64_t kTrimShare = 32;
// What a download counts at least, so that many small ones are counted again too.
constexpr std::uint64_t kEntryCost = 64 * 1024;
// Hashing less is no work worth saving.
constexpr std::uint64_t kLargeBytes = 1024 * 1024;
constexpr std::size_t kMostHashed = 1024;
constexpr std::chrono::milliseconds kAskAgain(20);
constexpr std::chrono::seconds kEnterLimit(5);

std::string FreshPartialName() {
  std::string name = fmt::format("{}-", ::getpid());
  for (const unsigned char byte : sys::RandomBytes(8)) name += fmt::format("{:02x}", byte);
  return name;
}

// The byte of the file `fetching` that stands for a URL. Two URLs could share one, and would wait
// for each other then.
off_t ByteOf(const EntryKey& key) {
  return static_cast<off_t>(std::stoull(key.Id().substr(0, 15), nullptr, 16));
}

// With it, no other process takes a new file for a leftover. Those that would hold it for moments.
Result<sys::FileLock> EnterStore(const fs::path& root, Deadline deadline) {
  for (;;) {
    PYRO_ASSIGN_OR_RETURN(auto lock,
                          sys::FileLock::TryAcquire(root / "lock", sys::FileLock::Mode::kShared));
    if (lock) return std::move(*lock);
    if (deadline.Expired()) return sys::ErrnoError(ETIMEDOUT, "lock", (root / "lock").native());
    std::this_thread::sleep_for(kAskAgain);  // flock(2) has no wait with a limit.
  }
}

// A use is noted in the time of the entry's file, at most once a minute.
void NoteUse(int fd, const struct stat& info, WallTime now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
  if (std::llabs(seconds.count() - info.st_mtim.tv_sec) < 60) return;
  const timespec times[2] = {{seconds.count(), 0}, {seconds.count(), 0}};
  static_cast<void>(::futimens(fd, times));
}

}  // namespace

NewContent::~NewContent() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Status NewContent::Append(std::string_view bytes) {
  if (size_ + bytes.size() > store_->options_.max_bytes / 2) {
    return MakeError(ErrorCode::kLimit, "the download is too large for the cache",
                     "allow the cache more room: pyro config set cache.size 16G");
  }
  PYRO_RETURN_IF_ERROR(sys::WriteAll(fd_.get(), bytes));
  hash_.Add(bytes);
  size_ += bytes.size();
  return OkStatus();
}

const std::string& NewContent::Digest() {
  if (digest_.empty()) digest_ = hash_.Finish();
  return digest_;
}

Result<StoredDownload> NewContent::Commit(Entry entry) {
  entry.sha256 = Digest();
  entry.size = size_;
  const fs::path place = store_->PathOfContent(entry.sha256);
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(place.parent_path()));
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd content, sys::OpenRegularFile(path_, O_RDONLY | O_NOFOLLOW));
  // In the place of one with the same digest: a new time keeps it from being removed before its
  // entry is there.
  if (::rename(path_.c_str(), place.c_str()) != 0) {
    return sys::ErrnoError(errno, "rename", place.native());
  }
  path_.clear();
  PYRO_RETURN_IF_ERROR(store_->WriteEntry(entry));
  if ((store_->added_ += size_ + kEntryCost) > store_->options_.max_bytes / kTrimShare) {
    static_cast<void>(store_->Trim());  // The next one tries again.
  }
  return StoredDownload{.entry = std::move(entry), .content = std::move(content)};
}

Store::Store(StoreOptions options)
    : options_(std::move(options)), added_(options_.max_bytes / kTrimShare + 1) {}

fs::path Store::PathOfContent(std::string_view sha256) const {
  return options_.root / "content" / sha256.substr(0, 2) / sha256;
}

fs::path Store::PathOfEntry(const EntryKey& key) const {
  const std::string id = key.Id();
  return options_.root / "index" / id.substr(0, 2) / id;
}

Status Store::Prepare() {
  for (const char* name : {"content", "index", "partial"}) {
    PYRO_RETURN_IF_ERROR(sys::MakeDirectories(options_.root / name));
  }
  return RemoveLeftovers();
}

Result<std::optional<StoredDownload>> Store::Find(const EntryKey& key) {
  const fs::path file = PathOfEntry(key);
  auto fd = sys::OpenFile(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) {
    if (fd.error().code == ErrorCode::kNotFound) return std::nullopt;
    return std::move(fd).error();
  }
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return sys::ErrnoError(errno, "stat", file.native());
  const auto text = S_ISREG(info.st_mode) ? sys::ReadAll(fd->get(), kMaxEntryBytes)
                                          : Result<std::string>(std::string());
  const auto entry = text ? ParseEntry(*text) : text.error();
  if (!entry || entry->key != key) {
    ::unlink(file.c_str());
    options_.report(
        {Report::Kind::kDamaged, key.url,
         fmt::format("what the cache noted of {} is damaged: it was removed", Printable(key.url))});
    return std::nullopt;
  }
  const fs::path place = PathOfContent(entry->sha256);
  auto content = sys::OpenFile(place, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!content && content.error().code == ErrorCode::kNotFound) {
    ::unlink(file.c_str());  // Removed to make room, between two steps of another process.
    return std::nullopt;
  }
  struct stat of_content {};
  if (!content || ::fstat(content->get(), &of_content) != 0 || !S_ISREG(of_content.st_mode)) {
    RemoveDamaged(*entry, "is no file that can be read");
    return std::nullopt;
  }
  if (static_cast<std::uint64_t>(of_content.st_size) != entry->size) {
    RemoveDamaged(*entry,
                  fmt::format("has {} bytes instead of {}", of_content.st_size, entry->size));
    return std::nullopt;
  }
  if (!IsWhole(*entry, content->get())) {
    RemoveDamaged(*entry, "does not have the bytes that were stored");
    return std::nullopt;
  }
  NoteUse(fd->get(), info, options_.clock->Now());
  return StoredDownload{.entry = *entry, .content = *std::move(content)};
}

// A client may ask for many small parts of a large content.
bool Store::IsWhole(const Entry& entry, int content) {
  struct stat info {};
  if (::fstat(content, &info) != 0) return false;
  const std::string state = fmt::format("{} {} {} {}.{} {}.{}", info.st_dev, info.st_ino,
                                        info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                                        info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
  if (entry.size >= kLargeBytes) {
    const std::lock_guard guard(mutex_);
    const auto known = hashed_.find(entry.sha256);
    if (known != hashed_.end() && known->second == state) return true;
  }
  const auto digest = Sha256OfDescriptor(content, entry.key.url);
  if (!digest || *digest != entry.sha256) return false;
  if (entry.size >= kLargeBytes) {
    const std::lock_guard guard(mutex_);
    if (hashed_.size() >= kMostHashed) hashed_.clear();
    hashed_[entry.sha256] = state;
  }
  return true;
}

void Store::RemoveDamaged(const Entry& entry, std::string_view what) {
  ::unlink(PathOfEntry(entry.key).c_str());
  const fs::path place = PathOfContent(entry.sha256);
  std::error_code ignored;
  fs::remove(place, ignored);
  options_.report(
      {Report::Kind::kDamaged, entry.key.url,
       fmt::format("the cache's copy of {} {}: it was removed", Printable(entry.key.url), what)});
}

Status Store::WriteEntry(const Entry& entry) {
  const fs::path place = PathOfEntry(entry.key);
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(place.parent_path()));
  const fs::path fresh = options_.root / "partial" / FreshPartialName();
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                        sys::OpenFile(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW));
  Status written = sys::WriteAll(fd.get(), FormatEntry(entry));
  if (written && ::rename(fresh.c_str(), place.c_str()) != 0) {
    written = sys::ErrnoError(errno, "rename", place.native());
  }
  if (!written) ::unlink(fresh.c_str());
  return written;
}

Status Store::Renew(const Entry& entry) {
  PYRO_ASSIGN_OR_RETURN(const auto lock, EnterStore(options_.root, Deadline::After(kEnterLimit)));
  return WriteEntry(entry);
}

void Store::Forget(const EntryKey& key) { ::unlink(PathOfEntry(key).c_str()); }

Result<std::optional<FetchLock>> Store::LockFetch(const EntryKey& key, Deadline deadline) {
  const fs::path file = options_.root / "fetching";
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd fd, sys::OpenFile(file, O_RDWR | O_CREAT | O_NOFOLLOW));
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = ByteOf(key);
  range.l_len = 1;
  for (;;) {
    // Of the open file, not of the process: threads exclude each other, too.
    if (::fcntl(fd.get(), F_OFD_SETLK, &range) == 0) return FetchLock(std::move(fd));
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
      return sys::ErrnoError(errno, "lock", file.native());
    }
    if (deadline.Expired()) return std::nullopt;
    std::this_thread::sleep_for(kAskAgain);  // The kernel's own wait has no limit.
  }
}

Result<NewContent> Store::NewDownload() {
  PYRO_ASSIGN_OR_RETURN(auto lock, EnterStore(options_.root, Deadline::After(kEnterLimit)));
  fs::path path = options_.root / "partial" / FreshPartialName();
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd fd,
                        sys::OpenFile(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW));
  return NewContent(*this, std::move(lock), std::move(path), std::move(fd));
}

}  // namespace pyro::downloads
