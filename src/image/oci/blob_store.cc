#include "image/oci/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "image/oci/source.h"
#include "image/store/digest.h"
#include "image/store/install_paths.h"
#include "sys/disk_walk.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/wait_for.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCopyPrefix = ".copy-";
constexpr std::string_view kSha256 = "sha256:";

std::string_view HexOf(std::string_view digest) { return digest.substr(kSha256.size()); }

// What the disk gets back if this file goes.
std::uint64_t BytesAlone(const fs::path& file) {
  struct stat info {};
  if (::lstat(file.c_str(), &info) != 0 || info.st_nlink > 1) return 0;
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

Error BlobIsGone(std::string_view digest) {
  return MakeError(ErrorCode::kDataLoss, fmt::format("the blob {} was not stored whole", digest),
                   "pull again");
}

Result<bool> HasItsBytes(const fs::path& file, const Descriptor& blob) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, sys::OpenRegularFile(file, O_RDONLY | O_NOFOLLOW));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", file.native());
  if (!S_ISREG(info.st_mode) || static_cast<std::uint64_t>(info.st_size) != blob.size) return false;
  PYRO_ASSIGN_OR_RETURN(const std::string hex, Sha256OfFile(fd.get(), file));
  return hex == HexOf(blob.digest);
}

// Of a copy that was killed.
bool IsLeftover(const fs::path& file) {
  return file.filename().native().starts_with("oci-put-blob");
}

}  // namespace

fs::path BlobStore::PathOf(std::string_view digest) const {
  return shared_dir() / "sha256" / HexOf(digest);
}

Result<sys::FileLock> BlobStore::Enter(const ProgressFn& progress, Cancellation cancel) const {
  constexpr std::chrono::milliseconds kAskAgain(100);
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(shared_dir() / "sha256"));
  {
    PYRO_ASSIGN_OR_RETURN(const auto alone, sys::FileLock::TryAcquire(root_ / kLockName));
    std::uint64_t freed = 0;
    if (alone) RemoveLeftovers(freed, nullptr);
  }
  bool reported = false;
  for (;;) {
    PYRO_ASSIGN_OR_RETURN(
        auto lock, sys::FileLock::TryAcquire(root_ / kLockName, sys::FileLock::Mode::kShared));
    if (lock) return std::move(*lock);
    if (!reported && progress) progress({"wait", "another pyro removes layers", std::nullopt});
    reported = true;
    if (sys::WaitFor(cancel.fd, POLLIN, Deadline::After(kAskAgain)) == sys::Waited::kReady) {
      return MakeError(ErrorCode::kCancelled, "the pull was stopped", "pull it again");
    }
  }
}

Result<fs::path> BlobStore::MakeCopyDir() const {
  const fs::path directory = FreshName(root_, kCopyPrefix);
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory));
  return directory;
}

Result<std::vector<Descriptor>> BlobStore::Missing(const std::vector<Descriptor>& blobs,
                                                   const ProgressFn& progress,
                                                   Cancellation cancel) const {
  std::vector<Descriptor> missing;
  std::set<std::string_view> seen;
  double done = 0;
  for (const auto& blob : blobs) {
    if (Cancelled(cancel))
      return MakeError(ErrorCode::kCancelled, "the pull was stopped", "pull it again");
    if (!seen.insert(blob.digest).second) continue;
    const fs::path file = PathOf(blob.digest);
    if (::access(file.c_str(), F_OK) == 0) {
      if (progress) {
        progress({"check", "the layers that are here", done / static_cast<double>(blobs.size())});
      }
      const auto good = HasItsBytes(file, blob);
      done += 1;
      if (good && *good) continue;
      if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
        return sys::ErrnoError(errno, "unlink", file.native());
      }
    }
    missing.push_back(blob);
  }
  return missing;
}

Status BlobStore::Link(const Descriptor& blob, const fs::path& directory) const {
  const fs::path from = PathOf(blob.digest);
  const fs::path to = directory / "sha256" / HexOf(blob.digest);
  struct stat info {};
  if (::lstat(from.c_str(), &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<std::uint64_t>(info.st_size) != blob.size) {
    return BlobIsGone(blob.digest);
  }
  if (::link(from.c_str(), to.c_str()) == 0 || errno == EEXIST) return OkStatus();
  // EPERM: the file system has no hard links. EMLINK: the file has too many.
  if (errno != EXDEV && errno != EPERM && errno != EMLINK) {
    return sys::ErrnoError(errno, "link", to.native());
  }
  std::error_code error;
  fs::copy_file(from, to, error);
  if (error) return sys::ErrnoError(error.value(), "copy", to.native());
  return OkStatus();
}

Result<std::string> BlobStore::Read(std::string_view digest) const {
  return ReadBlob(PathOf(digest), digest);
}

Result<std::uint64_t> BlobStore::Prune(const std::set<std::string>& kept_digests,
                                       DryPrune* dry) const {
  std::error_code error;
  if (!fs::exists(root_, error)) return std::uint64_t{0};
  PYRO_ASSIGN_OR_RETURN(const auto alone, sys::FileLock::TryAcquire(root_ / kLockName));
  std::uint64_t freed = 0;
  if (!alone) return freed;
  RemoveLeftovers(freed, dry);
  for (const auto& entry : fs::directory_iterator(shared_dir() / "sha256", error)) {
    const std::string digest = fmt::format("{}{}", kSha256, entry.path().filename().native());
    if (kept_digests.contains(digest)) continue;
    const std::uint64_t bytes = BytesAlone(entry.path());
    const bool counted = dry != nullptr && IsLeftover(entry.path());
    if (dry == nullptr && ::unlink(entry.path().c_str()) != 0) {
      return sys::ErrnoError(errno, "unlink", entry.path().native());
    }
    if (!counted) freed += bytes;
  }
  return freed;
}

// Also what other releases of skopeo leave beside the blobs.
void BlobStore::RemoveLeftovers(std::uint64_t& bytes_freed, DryPrune* dry) const {
  std::vector<fs::path> leftovers;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root_, error)) {
    if (entry.path().filename().native().starts_with(kCopyPrefix)) {
      leftovers.push_back(entry.path());
    }
  }
  for (const fs::path& directory : {shared_dir(), shared_dir() / "sha256"}) {
    for (const auto& entry : fs::directory_iterator(directory, error)) {
      if (IsLeftover(entry.path())) leftovers.push_back(entry.path());
    }
  }
  for (const fs::path& path : leftovers) {
    const std::uint64_t bytes = sys::DiskUsage(path);
    if (dry != nullptr || sys::RemoveTree(path))
      bytes_freed += bytes;  // Otherwise the next one tries again.
  }
}

Result<std::string> ReadRegularFile(const fs::path& file, std::size_t max_bytes) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                        sys::OpenFile(file, O_RDONLY | O_NOCTTY | O_NONBLOCK));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", file.native());
  if (!S_ISREG(info.st_mode)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is no regular file", Printable(file.native())),
                     "put a file there, or a link to one");
  }
  return sys::ReadAll(fd.get(), max_bytes);
}

Result<std::string> ReadBlob(const fs::path& file, std::string_view digest) {
  auto bytes = ReadRegularFile(file, kMaxImageJsonBytes);
  if (!bytes) {
    return bytes.error().code == ErrorCode::kNotFound ? BlobIsGone(digest)
                                                      : std::move(bytes).error();
  }
  if (fmt::format("{}{}", kSha256, Sha256Hex(*bytes)) != digest) {
    return MakeError(ErrorCode::kDataLoss,
                     fmt::format("the bytes of the blob {} are not those of its digest", digest),
                     "make the archive again, or pull again");
  }
  return bytes;
}

}  // namespace pyro::image
