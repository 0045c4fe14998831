#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "archive/meter.h"
#include "archive/names.h"
#include "archive/pack.h"
#include "archive/tar.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/data_ranges.h"
#include "sys/errno_error.h"
#include "sys/file_digest.h"
#include "sys/files.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

using FileId = std::pair<dev_t, ino_t>;

FileId IdOf(const struct stat& info) { return {info.st_dev, info.st_ino}; }

Result<std::vector<std::string>> ListTree(int directory, const std::string& path) {
  const int copy = ::fcntl(directory, F_DUPFD_CLOEXEC, 0);
  DIR* const handle = copy < 0 ? nullptr : ::fdopendir(copy);
  if (handle == nullptr) {
    const int number = errno;
    if (copy >= 0) ::close(copy);
    return sys::ErrnoError(number, "read directory", path);
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = ::readdir(handle)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    if (names.size() > kMaxEntries) break;
  }
  const int number = errno;
  ::closedir(handle);
  if (number != 0) return sys::ErrnoError(number, "read directory", path);
  std::sort(names.begin(), names.end());  // The same tree makes the same stream.
  return names;
}

// Goes down with a descriptor per level and never by a path, so that a directory that is moved or
// replaced by a link meanwhile does not mislead it.
class TreePacker {
 public:
  TreePacker(const fs::path& source, TarWriter& writer, Meter& meter, const Selection& selection,
             std::set<FileId> without)
      : source_(source),
        writer_(writer),
        meter_(meter),
        selection_(selection),
        without_(std::move(without)) {}

  Status Run(sys::UniqueFd root) {
    struct stat info {};
    if (::fstat(root.get(), &info) != 0) return sys::ErrnoError(errno, "stat", source_.native());
    PYRO_RETURN_IF_ERROR(Enter(std::move(root), info, ".", !selection_.git));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.next == level.names.size()) {
        levels_.pop_back();
        continue;
      }
      const std::string leaf = std::move(level.names[level.next++]);
      const std::string name = level.name == "." ? leaf : level.name + "/" + leaf;
      PYRO_RETURN_IF_ERROR(Visit(level, leaf, name));
    }
    return OkStatus();
  }

 private:
  struct Level {
    sys::UniqueFd fd;
    std::string name;  // In the archive.
    std::vector<std::string> names;
    std::size_t next = 0;
    bool whole = false;  // Even what git does not see.
  };

  std::string PathOf(const std::string& name) const { return (source_ / name).native(); }

  Entry Describe(Entry::Type type, const struct stat& info, const std::string& name) const {
    Entry entry;
    entry.type = type;
    entry.name = name;
    entry.mode = info.st_mode & 07777;
    entry.seconds = info.st_mtim.tv_sec;
    entry.nanoseconds = info.st_mtim.tv_nsec;
    return entry;
  }

  Status Add(const Entry& entry) {
    PYRO_RETURN_IF_ERROR(meter_.CountEntry());
    return writer_.Add(entry);
  }

  Status Enter(sys::UniqueFd fd, const struct stat& info, const std::string& name, bool whole) {
    PYRO_ASSIGN_OR_RETURN(auto names, ListTree(fd.get(), PathOf(name)));
    const Entry entry = Describe(Entry::Type::kDirectory, info, name);
    PYRO_RETURN_IF_ERROR(Add(entry));
    Tell(entry, info);
    levels_.push_back({std::move(fd), name, std::move(names), 0, whole});
    return OkStatus();
  }

  bool IsWanted(const Level& level, const std::string& name, bool directory) const {
    if (selection_.exclude.Match(name,
                                 directory ? Patterns::Kind::kDirectory : Patterns::Kind::kOther)) {
      return false;
    }
    if (level.whole || selection_.git->whole.contains(name)) return true;
    return (directory ? selection_.git->directories : selection_.git->files).contains(name);
  }

  Status Visit(const Level& level, const std::string& leaf, const std::string& name) {
    const int parent = level.fd.get();
    struct stat info {};
    if (::fstatat(parent, leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return Changed(name);
      return sys::ErrnoError(errno, "stat", PathOf(name));
    }
    if (without_.contains(IdOf(info))) {
      meter_.CountOwn(name);
      return OkStatus();
    }
    if (!IsWanted(level, name, S_ISDIR(info.st_mode))) return OkStatus();
    if (const auto clean = CleanName(name, ErrorCode::kLimit); !clean) return clean.error();
    const bool linked = selection_.hard_links && !S_ISDIR(info.st_mode) && info.st_nlink > 1;
    if (const auto first = linked ? linked_.find(IdOf(info)) : linked_.end();
        first != linked_.end()) {
      Entry entry = Describe(Entry::Type::kHardLink, info, name);
      entry.target = first->second;
      return Add(entry);
    }
    switch (info.st_mode & S_IFMT) {
      case S_IFDIR:
        return VisitDirectory(parent, leaf, name,
                              level.whole || selection_.git->whole.contains(name));
      case S_IFREG:
        return VisitFile(parent, leaf, name);
      case S_IFLNK:
        return VisitLink(parent, leaf, name, info);
      case S_IFIFO:
        return AddFirst(Describe(Entry::Type::kFifo, info, name), info);
      default:
        meter_.CountSkipped(name);
        return OkStatus();
    }
  }

  Status AddFirst(const Entry& entry, const struct stat& info) {
    PYRO_RETURN_IF_ERROR(Add(entry));
    if (info.st_nlink > 1) linked_.emplace(IdOf(info), entry.name);
    return OkStatus();
  }

  void Tell(const Entry& entry, const struct stat& info, std::uint64_t digest = 0) const {
    if (selection_.on_packed) selection_.on_packed({entry, info, digest});
  }

  // The file of a moment ago is gone or has another type.
  Status Changed(const std::string& name) {
    meter_.CountChanged(name);
    return OkStatus();
  }

  Status VisitDirectory(int parent, const std::string& leaf, const std::string& name, bool whole) {
    sys::UniqueFd fd(
        ::openat(parent, leaf.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) {
      if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return Changed(name);
      return Unreadable(errno, name);
    }
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", PathOf(name));
    return Enter(std::move(fd), info, name, whole);
  }

  Status VisitLink(int parent, const std::string& leaf, const std::string& name,
                   const struct stat& info) {
    std::string target(kMaxNameBytes + 1, '\0');
    const ssize_t n = ::readlinkat(parent, leaf.c_str(), target.data(), target.size());
    if (n < 0) {
      if (errno == ENOENT || errno == EINVAL) return Changed(name);
      return Unreadable(errno, name);
    }
    Entry entry = Describe(Entry::Type::kSymlink, info, name);
    entry.target.assign(target, 0, static_cast<std::size_t>(n));
    if (TellsGitPath(name)) meter_.NoteGitPath(name, entry.target, true);
    PYRO_RETURN_IF_ERROR(AddFirst(entry, info));
    Tell(entry, info);
    return OkStatus();
  }

  Status VisitFile(int parent, const std::string& leaf, const std::string& name) {
    // If it is a FIFO now, opening it must not wait.
    const sys::UniqueFd fd(
        ::openat(parent, leaf.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!fd.valid()) {
      if (errno == ENOENT || errno == ELOOP || errno == ENXIO) return Changed(name);
      return Unreadable(errno, name);
    }
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", PathOf(name));
    if (!S_ISREG(info.st_mode)) return Changed(name);
    Entry entry = Describe(Entry::Type::kRegular, info, name);
    entry.size = info.st_size;
    if (entry.size > kMaxFileBytes) {
      return MakeError(ErrorCode::kLimit,
                       fmt::format("'{}' is larger than {}", Printable(PathOf(name)),
                                   FormatBytes(static_cast<std::uint64_t>(kMaxFileBytes))));
    }
    entry.data = sys::DataRanges(fd.get(), info);
    if (TellsGitPath(name)) {
      std::string text(kMaxGitPathBytes, '\0');
      const ssize_t n = ::pread(fd.get(), text.data(), text.size(), 0);
      text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
      meter_.NoteGitPath(name, text, false);
    }
    PYRO_RETURN_IF_ERROR(AddFirst(entry, info));
    meter_.CountContent(static_cast<std::uint64_t>(entry.size));
    sys::FileDigest digest;
    PYRO_RETURN_IF_ERROR(CopyContent(fd.get(), entry, digest));
    Tell(entry, info, digest.value());
    return OkStatus();
  }

  // Exactly as many bytes as were announced, even if the file has changed since.
  Status CopyContent(int fd, const Entry& entry, sys::FileDigest& digest) {
    bool shrunk = false;
    std::int64_t position = 0;
    const std::vector<sys::FileRange> whole = {{0, entry.size}};
    for (const auto& range : entry.data ? *entry.data : whole) {
      PYRO_RETURN_IF_ERROR(writer_.WriteZeros(range.offset - position));
      const std::int64_t end = range.offset + range.length;
      for (position = range.offset; position < end;) {
        const auto want =
            std::min<std::int64_t>(end - position, static_cast<std::int64_t>(buffer_.size()));
        const ssize_t n = ::pread(fd, buffer_.data(), static_cast<std::size_t>(want), position);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return Unreadable(errno, entry.name);
        if (n == 0) break;
        const std::string_view bytes(buffer_.data(), static_cast<std::size_t>(n));
        PYRO_RETURN_IF_ERROR(writer_.Write(bytes));
        if (selection_.on_packed) digest.Add(position, bytes);
        position += n;
      }
      shrunk = shrunk || position < end;
      PYRO_RETURN_IF_ERROR(writer_.WriteZeros(end - position));
      position = end;
    }
    if (shrunk) meter_.CountChanged(entry.name);
    return writer_.WriteZeros(entry.size - position);
  }

  Error Unreadable(int number, const std::string& name) const {
    Error error = sys::ErrnoError(number, "read", PathOf(name));
    if (error.code == ErrorCode::kPermissionDenied)
      error.hint = "make it readable, or move it away";
    return error;
  }

  const fs::path source_;
  TarWriter& writer_;
  Meter& meter_;
  const Selection& selection_;
  const std::set<FileId> without_;
  std::vector<Level> levels_;
  std::map<FileId, std::string> linked_;  // The first name of each file with several.
  std::vector<char> buffer_ = std::vector<char>(256 * 1024);
};

}  // namespace

Result<Summary> WriteTree(const fs::path& source, int out_fd, const Operation& operation,
                          const Selection& selection) {
  auto root = sys::OpenFile(source, O_RDONLY | O_DIRECTORY);
  if (!root) {
    Error error = std::move(root).error();
    if (error.sys_errno == ENOTDIR) error.code = ErrorCode::kInvalidArgument;
    return error;
  }
  std::set<FileId> without;
  for (const fs::path& path : selection.without) {
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0) without.insert(IdOf(info));
  }
  Meter meter(operation);
  PYRO_ASSIGN_OR_RETURN(const auto writer,
                        TarWriter::Create(out_fd, meter, TarWriter::Counting::kYes));
  TreePacker packer(source, *writer, meter, selection, std::move(without));
  PYRO_RETURN_IF_ERROR(packer.Run(std::move(*root)));
  PYRO_RETURN_IF_ERROR(writer->Finish());
  meter.Finish();
  return meter.summary();
}

}  // namespace pyro::archive
