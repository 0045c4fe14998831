// Files and directories as a tar on stdout.

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/file_work.h"
#include "agent/tar_format.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/data_ranges.h"
#include "sys/files.h"
#include "sys/tree_steps.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

constexpr std::size_t kMaxPathsBytes = 64 << 20;  // Bytes.
// Of what the kernel makes up while it is read, the size is 0 in /proc and a page in /sys.
constexpr off_t kMadeUpSize = 4096;
constexpr std::size_t kMaxMadeUpBytes = 64 << 20;
constexpr std::size_t kOutputBytes = 256 * 1024;
constexpr int kOpenRegular = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

// The stream, in large pieces.
class Output {
 public:
  Output(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Status Add(std::string_view bytes) {
    buffer_ += bytes;
    return buffer_.size() < kOutputBytes ? OkStatus() : Flush();
  }

  Status AddZeros(std::int64_t count) {
    for (; count > 0; count -= kLargeContent) {
      const auto now = static_cast<std::size_t>(std::min(count, kLargeContent));
      PYRO_RETURN_IF_ERROR(Add(std::string(now, '\0')));
    }
    return OkStatus();
  }

  // Up to `bytes` from the descriptor's position on. Returns how many there were.
  Result<std::int64_t> Copy(int from, std::int64_t bytes, const std::string& path) {
    if (bytes >= kLargeContent) {
      PYRO_RETURN_IF_ERROR(Flush());
      return CopyBytes(from, fd_, bytes, path);
    }
    const std::size_t before = buffer_.size();
    buffer_.resize(before + static_cast<std::size_t>(bytes));
    std::size_t end = before;
    int number = 0;
    while (end < buffer_.size()) {
      const ssize_t n = ::read(from, buffer_.data() + end, buffer_.size() - end);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) number = errno;
      if (n <= 0) break;
      end += static_cast<std::size_t>(n);
    }
    buffer_.resize(end);
    if (number != 0) return FileError(number, path);
    PYRO_RETURN_IF_ERROR(Add(""));
    return static_cast<std::int64_t>(end - before);
  }

  Status Flush() {
    const Status sent = sys::WriteAll(fd_, buffer_);
    buffer_.clear();
    return sent ? OkStatus() : Status(FileError(sent.error().sys_errno, path_));
  }

 private:
  const int fd_;
  const std::string path_;
  std::string buffer_;
};

// The paths on stdin, each with a NUL behind it.
Result<std::vector<std::string>> ReadPaths(int in) {
  PYRO_ASSIGN_OR_RETURN(const std::string text, sys::ReadAll(in, kMaxPathsBytes));
  std::vector<std::string> paths;
  for (std::size_t at = 0; at < text.size();) {
    paths.emplace_back(text.c_str() + at);
    at += paths.back().size() + 1;
  }
  return paths;
}

bool SameTime(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// It was there a moment ago, as something else perhaps.
bool IsGone(int number) {
  return number == ENOENT || number == ENOTDIR || number == ELOOP || number == ENXIO;
}

TarEntry Describe(TarEntry::Type type, const struct stat& info, std::string name) {
  TarEntry entry;
  entry.type = type;
  entry.name = std::move(name);
  entry.mode = info.st_mode & 07777;
  entry.uid = info.st_uid;
  entry.gid = info.st_gid;
  entry.seconds = info.st_mtim.tv_sec;
  entry.nanoseconds = info.st_mtim.tv_nsec;
  return entry;
}

class Packer {
 public:
  Packer(const wire::FileRequest& request, const FileStreams& streams)
      : request_(request), in_(streams.in), out_(streams.out, request.path) {}

  Result<wire::FileEnd> Run() {
    // A FIFO must not make it wait.
    const sys::UniqueFd top(::open(request_.path.c_str(), kOpenRegular & ~O_NOFOLLOW));
    struct stat info {};
    if (!top.valid() || ::fstat(top.get(), &info) != 0) return FileErrno(request_.path);
    if (S_ISDIR(info.st_mode)) {
      auto paths = ReadPaths(in_);
      if (!paths) return FileError(paths.error().sys_errno, request_.path);
      if (request_.listed) {
        PYRO_RETURN_IF_ERROR(PackListed(top.get(), *paths));
      } else {
        for (std::string& path : *paths) left_out_.insert(std::move(path));
        const std::string name = request_.to.empty() ? "." : request_.to;
        PYRO_RETURN_IF_ERROR(PackDirectory(top.get(), info, name, "", 0));
      }
    } else if (S_ISREG(info.st_mode)) {
      const std::string leaf = SplitPath(request_.path).second;
      const std::string name = request_.to.empty() ? leaf : request_.to;
      PYRO_RETURN_IF_ERROR(info.st_blocks == 0 && info.st_size <= kMadeUpSize
                               ? PackMadeUp(top.get(), info, name)
                               : PackFile(top.get(), info, name, ""));
    } else {
      return FileError(EINVAL, request_.path);
    }
    PYRO_RETURN_IF_ERROR(out_.Add(TarEnd()));
    PYRO_RETURN_IF_ERROR(out_.Flush());
    for (auto& [kind, note] : notes_) end_.notes.push_back(std::move(note));
    return std::move(end_);
  }

 private:
  // `below`: from the request's path on.
  std::string Whole(const std::string& below) const {
    return below.empty() ? request_.path : request_.path + "/" + below;
  }

  void Note(wire::FileNoteKind kind, const std::string& below) {
    wire::FileNote& note = notes_[kind];
    note.kind = kind;
    ++note.count;
    if (note.names.size() < wire::kMaxNoteNames) {
      note.names.push_back(
          {(below.empty() ? request_.path : below).substr(0, wire::kMaxNoteBytes)});
    }
  }

  Status Changed(const std::string& below) {
    Note(wire::FileNoteKind::kChanged, below);
    return OkStatus();
  }

  // With the errno of now: what failed at the path.
  Status Failed(const std::string& below) {
    const int number = errno;
    if (IsGone(number)) return Changed(below);
    if (!request_.listed) return FileError(number, Whole(below));
    Note(wire::FileNoteKind::kUnreadable, below);
    return OkStatus();
  }

  Status Add(const TarEntry& entry) {
    ++end_.entries;
    return out_.Add(TarHeader(entry));
  }

  Status AddAttributes(int fd, TarEntry& entry, const std::string& below) {
    if (!request_.xattrs) return OkStatus();
    std::string names(XATTR_LIST_MAX, '\0');
    const ssize_t size = ::flistxattr(fd, names.data(), names.size());
    if (size < 0 && errno == ENOTSUP) return OkStatus();
    if (size < 0) return FileErrno(Whole(below));
    names.resize(static_cast<std::size_t>(size));
    std::string value(XATTR_SIZE_MAX, '\0');
    bool complete = true;
    for (const std::string_view part : Split(names, '\0')) {
      const std::string name(part);
      if (name.empty()) continue;
      const ssize_t n = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
      if (n < 0 && errno == ENODATA) continue;  // It was taken away meanwhile.
      if (n < 0) return FileErrno(Whole(below));
      // A record's key ends at the first '=', and one without a value means that there is none.
      if (n == 0 || name.find('=') != name.npos) {
        complete = false;
        continue;
      }
      entry.attributes.emplace_back(name, value.substr(0, static_cast<std::size_t>(n)));
    }
    if (!complete) Note(wire::FileNoteKind::kAttributes, below);
    return OkStatus();
  }

  // `level`: of the directories that are open above it.
  Status PackDirectory(int fd, const struct stat& info, const std::string& name,
                       const std::string& below, int level) {
    if (level == kMostLevels) return FileError(ENAMETOOLONG, Whole(below));
    TarEntry entry = Describe(TarEntry::Type::kDirectory, info, name);
    PYRO_RETURN_IF_ERROR(AddAttributes(fd, entry, below));
    PYRO_RETURN_IF_ERROR(Add(entry));
    if (left_out_.contains(below + "/")) return OkStatus();
    PYRO_ASSIGN_OR_RETURN(const NamesIn in, ReadNames(fd, -1, Whole(below)));
    for (const std::string& leaf : in.names) {
      const std::string path = below.empty() ? leaf : below + "/" + leaf;
      if (left_out_.contains(path)) continue;
      PYRO_RETURN_IF_ERROR(Visit(fd, leaf, name == "." ? leaf : name + "/" + leaf, path, level));
    }
    return OkStatus();
  }

  Status Visit(int parent, const std::string& leaf, const std::string& name,
               const std::string& below, int level) {
    struct stat info {};
    if (::fstatat(parent, leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return Failed(below);
    if (!S_ISDIR(info.st_mode)) {
      if (const auto* first = FirstName(info)) return AddLinkTo(*first, info, name);
    }
    switch (info.st_mode & S_IFMT) {
      case S_IFDIR: {
        const sys::UniqueFd fd(::openat(parent, leaf.c_str(), kOpenTree));
        if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return Failed(below);
        if (request_.listed) return Add(Describe(TarEntry::Type::kDirectory, info, name));
        return PackDirectory(fd.get(), info, name, below, level + 1);
      }
      case S_IFREG:
        return VisitFile(parent, leaf, name, below);
      case S_IFLNK:
        return VisitLink(parent, leaf, info, name, below);
      case S_IFSOCK:
        Note(wire::FileNoteKind::kSocket, below);
        return OkStatus();
      default:
        return VisitDevice(info, name);
    }
  }

  // The name under which the file is in the tar already; nullptr: it is not.
  const std::string* FirstName(const struct stat& info) const {
    const auto first = linked_.find({info.st_dev, info.st_ino});
    return first == linked_.end() ? nullptr : &first->second;
  }

  Status AddLinkTo(const std::string& first, const struct stat& info, const std::string& name) {
    TarEntry entry = Describe(TarEntry::Type::kHardLink, info, name);
    entry.target = first;
    return Add(entry);
  }

  Status AddFirst(const TarEntry& entry, const struct stat& info) {
    if (!request_.listed && info.st_nlink > 1) {
      linked_.try_emplace({info.st_dev, info.st_ino}, entry.name);
    }
    return Add(entry);
  }

  Status VisitFile(int parent, const std::string& leaf, const std::string& name,
                   const std::string& below) {
    const sys::UniqueFd fd(::openat(parent, leaf.c_str(), kOpenRegular));
    struct stat info {};
    if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return Failed(below);
    if (!S_ISREG(info.st_mode)) return Changed(below);
    return PackFile(fd.get(), info, name, below);
  }

  Status PackFile(int fd, const struct stat& info, const std::string& name,
                  const std::string& below) {
    TarEntry entry = Describe(TarEntry::Type::kFile, info, name);
    entry.size = info.st_size;
    entry.data = sys::DataRanges(fd, info);
    PYRO_RETURN_IF_ERROR(AddAttributes(fd, entry, below));
    PYRO_RETURN_IF_ERROR(AddFirst(entry, info));
    const std::vector<sys::FileRange> whole = {{0, entry.size}};
    bool shrunk = false;
    for (const sys::FileRange& range : entry.data ? *entry.data : whole) {
      if (range.length == 0) continue;
      // Also for a whole file: looking for holes has moved the position.
      if (::lseek(fd, range.offset, SEEK_SET) < 0) return FileErrno(Whole(below));
      // Exactly as many bytes as were announced.
      PYRO_ASSIGN_OR_RETURN(const std::int64_t done, out_.Copy(fd, range.length, Whole(below)));
      shrunk = shrunk || done < range.length;
      PYRO_RETURN_IF_ERROR(out_.AddZeros(range.length - done));
    }
    end_.bytes += entry.size;
    struct stat now {};
    if (shrunk || ::fstat(fd, &now) != 0 || now.st_size != info.st_size ||
        !SameTime(now.st_mtim, info.st_mtim)) {
      Note(wire::FileNoteKind::kChanged, below);
    }
    return out_.AddZeros(static_cast<std::int64_t>(TarPadding(TarContentBytes(entry))));
  }

  // Of such a file only its content tells the size.
  Status PackMadeUp(int fd, const struct stat& info, const std::string& name) {
    const auto content = sys::ReadAll(fd, kMaxMadeUpBytes);
    if (!content) {
      const int number = content.error().sys_errno;
      return FileError(number != 0 ? number : EFBIG, request_.path);
    }
    TarEntry entry = Describe(TarEntry::Type::kFile, info, name);
    entry.size = std::ssize(*content);
    PYRO_RETURN_IF_ERROR(AddAttributes(fd, entry, ""));
    PYRO_RETURN_IF_ERROR(Add(entry));
    PYRO_RETURN_IF_ERROR(out_.Add(*content));
    end_.bytes += entry.size;
    return out_.AddZeros(static_cast<std::int64_t>(TarPadding(entry.size)));
  }

  Status VisitLink(int parent, const std::string& leaf, const struct stat& info,
                   const std::string& name, const std::string& below) {
    char target[PATH_MAX];
    const ssize_t n = ::readlinkat(parent, leaf.c_str(), target, sizeof target);
    if (n < 0) return errno == EINVAL ? Changed(below) : Failed(below);
    TarEntry entry = Describe(TarEntry::Type::kSymlink, info, name);
    entry.target.assign(target, static_cast<std::size_t>(n));
    return AddFirst(entry, info);
  }

  Status VisitDevice(const struct stat& info, const std::string& name) {
    TarEntry entry = Describe(S_ISFIFO(info.st_mode)  ? TarEntry::Type::kFifo
                              : S_ISCHR(info.st_mode) ? TarEntry::Type::kCharacterDevice
                                                      : TarEntry::Type::kBlockDevice,
                              info, name);
    if (entry.type != TarEntry::Type::kFifo) {
      entry.device_major = major(info.st_rdev);
      entry.device_minor = minor(info.st_rdev);
    }
    return AddFirst(entry, info);
  }

  Status PackListed(int top, const std::vector<std::string>& paths) {
    sys::UniqueFd parent;
    std::string open_path;  // Of the parent.
    for (const std::string& path : paths) {
      const std::size_t slash = path.rfind('/');
      const std::string directory = slash == path.npos ? "" : path.substr(0, slash);
      if (!parent.valid() || directory != open_path) {
        parent = sys::OpenBelow(top, directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY);
        open_path = directory;
      }
      const std::string leaf = slash == path.npos ? path : path.substr(slash + 1);
      if (!parent.valid()) {
        PYRO_RETURN_IF_ERROR(Failed(path));
      } else {
        PYRO_RETURN_IF_ERROR(Visit(parent.get(), leaf, path, path, 0));
      }
    }
    return OkStatus();
  }

  const wire::FileRequest& request_;
  const int in_;
  Output out_;
  wire::FileEnd end_;
  std::map<wire::FileNoteKind, wire::FileNote> notes_;
  std::set<std::string, std::less<>> left_out_;
  // The first name of each file with several.
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;
};

}  // namespace

Result<wire::FileEnd> PackOperation(const wire::FileRequest& request, const FileStreams& streams) {
  return Packer(request, streams).Run();
}

}  // namespace pyro::agent
