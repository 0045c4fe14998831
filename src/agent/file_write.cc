// A file's new content: other programs see the old one or this one, never a part.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/file_work.h"
#include "base/try.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/random.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

constexpr int kMaxLinks = 40;  // As Linux follows.
constexpr mode_t kUsualMode = 0644;
constexpr std::string_view kHiddenPrefix = ".pyro-";
constexpr std::size_t kHiddenBytes = kHiddenPrefix.size() + 32;

// What the last part of the path leads to, behind symbolic links. It need not be there.
Result<std::string> BehindLinks(std::string path) {
  const std::string asked = path;
  for (int i = 0; i < kMaxLinks; ++i) {
    char target[PATH_MAX];
    const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
    if (n < 0) return path;  // No link, or not there: the next step tells.
    const std::string to(target, static_cast<std::size_t>(n));
    path = to.starts_with('/') ? to : SplitPath(path).first + "/" + to;
  }
  return FileError(ELOOP, asked);
}

// A file without a name in the directory, or with one of its own where that is not possible.
struct NewFile {
  sys::UniqueFd fd;
  std::string name;  // Empty: it has none.
};

Result<NewFile> MakeNewFile(int directory, const std::string& path) {
  NewFile file;
  file.fd = sys::UniqueFd(::openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  if (file.fd.valid()) return file;
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL) {
    return FileErrno(path);
  }
  file.name = HiddenName();
  file.fd = sys::UniqueFd(::openat(directory, file.name.c_str(),
                                   O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.fd.valid()) return FileErrno(path);
  return file;
}

bool LinkTo(const NewFile& file, int directory, const std::string& name) {
  if (::linkat(file.fd.get(), "", directory, name.c_str(), AT_EMPTY_PATH) == 0) return true;
  if (errno != ENOENT) return false;
  // Without root's rights the kernel takes the detour alone.
  const std::string from = fmt::format("/proc/self/fd/{}", file.fd.get());
  return ::linkat(AT_FDCWD, from.c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

// The name of new content for the moment before it takes the place of a file: always the same one,
// so that the next write to the file finds what a killed one has left.
std::string NameBetween(std::string_view name) {
  std::string between(kHiddenPrefix);
  for (std::uint64_t hash : {0xcbf29ce484222325ULL, 0x6c62272e07bb0142ULL}) {
    for (const char byte : name) {
      hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3ULL;  // FNV-1a
    }
    between += fmt::format("{:016x}", hash);
  }
  return between;
}

// Removes a file whose writer is dead: that one locked it.
void RemoveLeft(int directory, const std::string& between) {
  const sys::UniqueFd file(
      ::openat(directory, between.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat left {};
  struct stat named {};
  // The name may be that of another file meanwhile.
  if (file.valid() && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0 &&
      ::fstat(file.get(), &left) == 0 &&
      ::fstatat(directory, between.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
      left.st_ino == named.st_ino && left.st_dev == named.st_dev) {
    ::unlinkat(directory, between.c_str(), 0);
  }
}

// Gives the file its name, in place of what has it.
Status Publish(NewFile& file, int directory, const std::string& name, const std::string& path) {
  if (file.name.empty()) {
    if (LinkTo(file, directory, name)) return OkStatus();
    if (errno != EEXIST) return FileErrno(path);
    std::string between = NameBetween(name);
    (void)::flock(file.fd.get(), LOCK_EX | LOCK_NB);
    if (!LinkTo(file, directory, between)) {
      if (errno != EEXIST) return FileErrno(path);
      RemoveLeft(directory, between);
      if (!LinkTo(file, directory, between)) {
        between = HiddenName();
        if (!LinkTo(file, directory, between)) return FileErrno(path);
      }
    }
    file.name = between;
  }
  PYRO_FAILPOINT("files.write.named");
  if (::renameat(directory, file.name.c_str(), directory, name.c_str()) != 0)
    return FileErrno(path);
  (void)::flock(file.fd.get(), LOCK_UN);
  return OkStatus();
}

// The mode and the owner of what is replaced.
Result<std::optional<struct stat>> FindOld(int directory, const std::string& name,
                                           const std::string& path) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::optional<struct stat>();
    return FileErrno(path);
  }
  if (S_ISDIR(info.st_mode)) return FileError(EISDIR, path);
  if (!S_ISREG(info.st_mode)) return FileError(EINVAL, path);
  // A rename alone needs no right to the file.
  if (::faccessat(directory, name.c_str(), W_OK, AT_EACCESS) != 0) return FileErrno(path);
  return std::optional<struct stat>(info);
}

Status TakeOver(const NewFile& file, const std::optional<struct stat>& old, std::int64_t mode,
                const std::string& path) {
  // A file of another user stays that user's, as far as this one may say so.
  if (old && ::fchown(file.fd.get(), old->st_uid, old->st_gid) != 0 && errno != EPERM) {
    return FileErrno(path);
  }
  const mode_t wanted = mode != 0 ? static_cast<mode_t>(mode)
                        : old     ? old->st_mode & 07777
                                  : kUsualMode;
  if (::fchmod(file.fd.get(), wanted) != 0) return FileErrno(path);
  return OkStatus();
}

// New content that waits for its name.
struct Written {
  NewFile file;
  std::shared_ptr<sys::UniqueFd> directory;
  std::string name;
  std::string path;  // As the caller named it.
  bool placed = false;

  Written() = default;
  Written(Written&&) = default;
  Written& operator=(Written&&) = default;
  ~Written() {
    if (!placed && !file.name.empty()) ::unlinkat(directory->get(), file.name.c_str(), 0);
  }
};

// Writes contents one after the other. The directory of the last one stays open for the next.
class Writer {
 public:
  // `fill` writes the content to a descriptor.
  template <typename Fill>
  Result<Written> Write(const std::string& asked, std::int64_t mode, Fill fill) {
    PYRO_ASSIGN_OR_RETURN(const std::string path, BehindLinks(asked));
    const auto [parent, name] = SplitPath(path);
    if (name.empty() || name == "." || name == "..") return FileError(EISDIR, asked);
    PYRO_RETURN_IF_ERROR(Enter(parent));
    Written written;
    written.directory = directory_;
    written.name = name;
    written.path = asked;
    PYRO_ASSIGN_OR_RETURN(const auto old, FindOld(directory_->get(), name, asked));
    PYRO_ASSIGN_OR_RETURN(written.file, MakeNewFile(directory_->get(), asked));
    PYRO_RETURN_IF_ERROR(fill(written.file.fd.get()));
    PYRO_FAILPOINT("files.write.received");
    PYRO_RETURN_IF_ERROR(TakeOver(written.file, old, mode, asked));
    return written;
  }

 private:
  Status Enter(const std::string& parent) {
    if (directory_ && parent == parent_) return OkStatus();
    PYRO_RETURN_IF_ERROR(MakeParents(parent));
    directory_ =
        std::make_shared<sys::UniqueFd>(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    parent_ = parent;
    return directory_->valid() ? OkStatus() : Status(FileErrno(parent));
  }

  std::string parent_;
  std::shared_ptr<sys::UniqueFd> directory_;
};

Status Place(Written& written) {
  PYRO_RETURN_IF_ERROR(Publish(written.file, written.directory->get(), written.name, written.path));
  written.placed = true;
  return OkStatus();
}

// Files of a batch whose content is there. They get their names together, after one sync of each
// file system: a sync for each file would take most of the time.
class Batch {
 public:
  Status Add(Written written) {
    waiting_.push_back(std::move(written));
    return waiting_.size() < kMostWaiting ? OkStatus() : PlaceAll();
  }

  Status PlaceAll() {
    std::set<dev_t> synced;
    for (const Written& one : waiting_) {
      struct stat info {};
      if (::fstat(one.file.fd.get(), &info) != 0) return FileErrno(one.path);
      if (!synced.insert(info.st_dev).second) continue;
      if (::syncfs(one.file.fd.get()) != 0) return FileErrno(one.path);
    }
    for (Written& one : waiting_) PYRO_RETURN_IF_ERROR(Place(one));
    waiting_.clear();
    return OkStatus();
  }

 private:
  static constexpr std::size_t kMostWaiting = 1024;
  std::vector<Written> waiting_;
};

// The stream of a batch: headers with the bytes of their files.
class BatchStream {
 public:
  explicit BatchStream(int in) : in_(in) {}

  // nullopt: the stream has ended.
  Result<std::optional<wire::FileHeader>> Next() {
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto record, records_.Next());
      if (record) {
        PYRO_ASSIGN_OR_RETURN(wire::FileHeader header, wire::ReadFileHeader(*record));
        return std::optional<wire::FileHeader>(std::move(header));
      }
      PYRO_ASSIGN_OR_RETURN(const bool more, Fill());
      if (more) continue;
      if (records_.empty()) return std::optional<wire::FileHeader>();
      return FileError(EPROTO, ".");
    }
  }

  Status CopyTo(int to, std::int64_t bytes, const std::string& path) {
    while (bytes > 0) {
      const std::string_view piece = records_.Take(static_cast<std::size_t>(bytes));
      bytes -= static_cast<std::int64_t>(piece.size());
      const auto wrote = sys::WriteAll(to, piece);
      if (!wrote) return FileError(wrote.error().sys_errno, path);
      if (bytes == 0) break;
      PYRO_ASSIGN_OR_RETURN(const bool more, Fill());
      if (!more) return FileError(EPROTO, path);
    }
    return OkStatus();
  }

 private:
  // False: at the end.
  Result<bool> Fill() {
    ssize_t n;
    do {
      n = ::read(in_, buffer_.data(), buffer_.size());
    } while (n < 0 && errno == EINTR);
    if (n < 0) return FileErrno(".");
    records_.Append({buffer_.data(), static_cast<std::size_t>(n)});
    return n > 0;
  }

  int in_;
  wire::FileRecords records_;
  std::vector<char> buffer_ = std::vector<char>(256 * 1024);
};

}  // namespace

std::pair<std::string, std::string> SplitPath(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

Status MakeParents(const std::string& directory) {
  struct stat info {};
  if (::stat(directory.c_str(), &info) == 0) {
    return S_ISDIR(info.st_mode) ? OkStatus() : Status(FileError(ENOTDIR, directory));
  }
  if (errno != ENOENT) return FileErrno(directory);
  for (std::size_t at = 1; at != std::string::npos;) {
    at = directory.find('/', at);
    const std::string part = directory.substr(0, at);
    if (at != std::string::npos) ++at;
    if (::mkdir(part.c_str(), 0755) == 0 || errno == EEXIST) continue;
    // One of another user that is there, or on a read-only file system, is no failure.
    const int number = errno;
    if (::stat(part.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return FileError(number, part);
  }
  return OkStatus();
}

std::string HiddenName() {
  std::string name(kHiddenPrefix);
  for (const std::uint8_t byte : sys::RandomBits()) name += fmt::format("{:02x}", byte);
  return name;
}

bool IsHiddenName(std::string_view name) {
  return name.starts_with(kHiddenPrefix) && name.size() == kHiddenBytes &&
         name.find_first_not_of("0123456789abcdef", kHiddenPrefix.size()) == std::string_view::npos;
}

Result<wire::FileEnd> WriteOperation(const wire::FileRequest& request, const FileStreams& streams) {
  wire::FileEnd end;
  const auto fill = [&](int to) -> Status {
    PYRO_ASSIGN_OR_RETURN(end.bytes, CopyBytes(streams.in, to, 0, request.path));
    return OkStatus();
  };
  Writer writer;
  PYRO_ASSIGN_OR_RETURN(Written written, writer.Write(request.path, request.mode, fill));
  // Before it has its name: a guest that dies must not leave the name of an empty file.
  if (::fsync(written.file.fd.get()) != 0) return FileErrno(request.path);
  PYRO_FAILPOINT("files.write.synced");
  PYRO_RETURN_IF_ERROR(Place(written));
  PYRO_FAILPOINT("files.write.in-place");
  struct stat info {};
  if (::fstat(written.file.fd.get(), &info) != 0) return FileErrno(request.path);
  end.entry = EntryOf(AT_FDCWD, written.name, info, AbsolutePath(request.path));
  return end;
}

Result<wire::FileEnd> WriteManyOperation(const wire::FileRequest& request,
                                         const FileStreams& streams) {
  PYRO_RETURN_IF_ERROR(MakeParents(request.path));
  if (::chdir(request.path.c_str()) != 0) return FileErrno(request.path);
  wire::FileEnd end;
  Writer writer;
  Batch batch;
  BatchStream stream(streams.in);
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const auto header, stream.Next());
    if (!header) break;
    const auto fill = [&](int to) { return stream.CopyTo(to, header->bytes, header->path); };
    PYRO_ASSIGN_OR_RETURN(Written written, writer.Write(header->path, header->mode, fill));
    PYRO_RETURN_IF_ERROR(batch.Add(std::move(written)));
    end.bytes += header->bytes;
    ++end.entries;
  }
  PYRO_RETURN_IF_ERROR(batch.PlaceAll());
  return end;
}

}  // namespace pyro::agent
