// A tar on stdin, as one more layer of an image on the data disk.

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "agent/file_work.h"
#include "agent/tar_content.h"
#include "agent/tar_format.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/tree_steps.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

class LayerUnpacker {
 public:
  LayerUnpacker(sys::UniqueFd root, int in)
      : root_(std::move(root)), in_(in), input_(TarSource(in, "/")) {}

  Result<wire::FileEnd> Run() {
    while (true) {
      auto entry = input_.Next();
      if (!entry) return FileError(entry.error().sys_errno, "/");
      if (!*entry) break;
      ++end_.entries;
      PYRO_RETURN_IF_ERROR(Add(**entry));
    }
    PYRO_RETURN_IF_ERROR(FinishDirectories());
    if (lost_.count > 0) end_.notes.push_back(std::move(lost_));
    return std::move(end_);
  }

 private:
  // What a directory has at the end: what is done in it changes its time before.
  struct Directory {
    std::string name;
    TarEntry entry;
  };

  static Error Failed(const std::string& name) { return FileErrno("/" + name); }

  // A link on the way is one of the image, and never leads out of it.
  sys::UniqueFd Open(const std::string& name, int flags) const {
    open_how how = {};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const char* const path = name.empty() ? "." : name.c_str();
    return sys::UniqueFd(
        static_cast<int>(::syscall(SYS_openat2, root_.get(), path, &how, sizeof how)));
  }

  Status Add(const TarEntry& entry) {
    PYRO_ASSIGN_OR_RETURN(const std::string name, CleanName(entry.name));
    const std::string leaf = LeafOf(name);
    if (leaf.starts_with(kWhiteout)) return AddWhiteout(name, leaf);
    AddOwn(name);
    if (entry.type == TarEntry::Type::kDirectory) return AddDirectory(entry, name);
    if (name.empty()) return FileError(EPROTO, "/");
    PYRO_ASSIGN_OR_RETURN(const int parent, OpenDirectory(ParentOf(name)));
    switch (entry.type) {
      case TarEntry::Type::kFile:
        return AddFile(parent, entry, name);
      case TarEntry::Type::kHardLink:
        return AddHardLink(entry, name);
      case TarEntry::Type::kSymlink:
        return AddSymlink(parent, entry, name);
      default:
        return AddDevice(parent, entry, name);
    }
  }

  // With the directories above it.
  void AddOwn(std::string name) {
    while (!name.empty() && own_.insert(name).second) name = ParentOf(name);
  }

  Status AddWhiteout(const std::string& name, const std::string& leaf) {
    const std::string directory = ParentOf(name);
    const bool opaque = leaf == kOpaque;
    const std::string removed = leaf.substr(kWhiteout.size());
    if (removed.empty() || removed == "." || removed == "..") {
      return FileError(EPROTO, "/" + name);
    }
    // Of nothing below it there is nothing to remove.
    struct stat info {};
    const sys::UniqueFd there = Open(directory, O_PATH | O_DIRECTORY);
    if (!there.valid() && (errno == ENOENT || errno == ENOTDIR)) return OkStatus();
    PYRO_ASSIGN_OR_RETURN(const int parent, OpenDirectory(directory));
    if (!opaque && ::fstatat(parent, removed.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT || errno == ENAMETOOLONG ? OkStatus() : Status(Failed(name));
    }
    const sys::UniqueFd held(::fcntl(parent, F_DUPFD_CLOEXEC, 0));
    if (!held.valid()) return Failed(name);
    if (opaque) return RemoveContent(held.get(), directory, true, 0);
    return Remove(held.get(), directory.empty() ? removed : directory + "/" + removed, true, 0);
  }

  Status RemoveContent(int directory, const std::string& name, bool spares_own, int level) {
    if (level == kMostLevels) return FileError(ENAMETOOLONG, "/" + name);
    PYRO_ASSIGN_OR_RETURN(const NamesIn in, ReadNames(directory, -1, "/" + name));
    for (const std::string& leaf : in.names) {
      PYRO_RETURN_IF_ERROR(
          Remove(directory, name.empty() ? leaf : name + "/" + leaf, spares_own, level));
    }
    return OkStatus();
  }

  // What has the name in `parent`, with all below it. `spares_own`: except what this layer has
  // made.
  Status Remove(int parent, const std::string& name, bool spares_own, int level) {
    const std::string leaf = LeafOf(name);
    const bool own = spares_own && own_.contains(name);
    if (!own) {
      if (::unlinkat(parent, leaf.c_str(), 0) == 0 || errno == ENOENT) return OkStatus();
      if (errno != EISDIR && errno != EPERM) return Failed(name);
    }
    const sys::UniqueFd below(::openat(parent, leaf.c_str(), kOpenTree));
    if (own && !below.valid()) return OkStatus();
    struct stat info {};
    if (!below.valid() || ::fstat(below.get(), &info) != 0) return Failed(name);
    PYRO_RETURN_IF_ERROR(RemoveContent(below.get(), name, own, level + 1));
    if (own) return OkStatus();
    open_.Reset();
    directories_.erase(info.st_ino);  // Another one may get its number.
    return ::unlinkat(parent, leaf.c_str(), AT_REMOVEDIR) == 0 ? OkStatus() : Status(Failed(name));
  }

  // Makes something new of the name, in the place of what is there. `make` sets errno.
  template <typename Make>
  Status Place(int parent, const std::string& name, const Make& make) {
    const std::string leaf = LeafOf(name);
    if (make(leaf.c_str())) return OkStatus();
    if (errno != EEXIST) return Failed(name);
    const sys::UniqueFd held(::fcntl(parent, F_DUPFD_CLOEXEC, 0));
    if (!held.valid()) return Failed(name);
    open_.Reset();  // It may have been behind a link of that name.
    PYRO_RETURN_IF_ERROR(Remove(held.get(), name, false, 0));
    return make(leaf.c_str()) ? OkStatus() : Status(Failed(name));
  }

  Status AddFile(int given, const TarEntry& entry, const std::string& name) {
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd parent, Hold(given, name));
    sys::UniqueFd fd;
    PYRO_RETURN_IF_ERROR(Place(parent.get(), name, [&](const char* leaf) {
      fd = sys::UniqueFd(
          ::openat(parent.get(), leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      return fd.valid();
    }));
    PYRO_RETURN_IF_ERROR(WriteTarContent(input_, in_, fd.get(), entry, "/" + name));
    end_.bytes += entry.size;
    return SetAttributes(fd.get(), entry, name);
  }

  // It has the attributes of the file whose name it is.
  Status AddHardLink(const TarEntry& entry, const std::string& name) {
    PYRO_ASSIGN_OR_RETURN(const std::string target, CleanName(entry.target));
    if (target.empty()) return FileError(EPROTO, "/" + name);
    if (target == name) return OkStatus();
    const sys::UniqueFd from = Open(ParentOf(target), O_PATH | O_DIRECTORY);
    if (!from.valid()) return Failed(target);
    PYRO_ASSIGN_OR_RETURN(const int given, OpenDirectory(ParentOf(name)));
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd parent, Hold(given, name));
    // Without AT_SYMLINK_FOLLOW: a link to a symbolic link is one more name of that link.
    const Status placed = Place(parent.get(), name, [&](const char* leaf) {
      return ::linkat(from.get(), LeafOf(target).c_str(), parent.get(), leaf, 0) == 0;
    });
    return placed || placed.error().sys_errno != ENOENT ? placed
                                                        : Status(FileError(ENOENT, "/" + target));
  }

  Status AddSymlink(int given, const TarEntry& entry, const std::string& name) {
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd parent, Hold(given, name));
    PYRO_RETURN_IF_ERROR(Place(parent.get(), name, [&](const char* leaf) {
      return ::symlinkat(entry.target.c_str(), parent.get(), leaf) == 0;
    }));
    return SetAttributesAt(parent.get(), entry, name);
  }

  Status AddDevice(int given, const TarEntry& entry, const std::string& name) {
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd parent, Hold(given, name));
    const mode_t type = entry.type == TarEntry::Type::kFifo              ? S_IFIFO
                        : entry.type == TarEntry::Type::kCharacterDevice ? S_IFCHR
                                                                         : S_IFBLK;
    const dev_t device = makedev(entry.device_major, entry.device_minor);
    PYRO_RETURN_IF_ERROR(Place(parent.get(), name, [&](const char* leaf) {
      return ::mknodat(parent.get(), leaf, type | 0600, device) == 0;
    }));
    return SetAttributesAt(parent.get(), entry, name);
  }

  Status AddDirectory(const TarEntry& entry, const std::string& name) {
    sys::UniqueFd fd;
    if (name.empty()) {
      fd = Open("", O_RDONLY | O_DIRECTORY);
    } else {
      PYRO_ASSIGN_OR_RETURN(const int given, OpenDirectory(ParentOf(name)));
      PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd parent, Hold(given, name));
      PYRO_RETURN_IF_ERROR(Place(parent.get(), name, [&](const char* leaf) {
        if (::mkdirat(parent.get(), leaf, 0700) == 0) return true;
        struct stat info {};
        const bool there = ::fstatat(parent.get(), leaf, &info, AT_SYMLINK_NOFOLLOW) == 0;
        errno = EEXIST;
        return there && S_ISDIR(info.st_mode);
      }));
      fd = sys::UniqueFd(::openat(parent.get(), LeafOf(name).c_str(), kOpenTree));
    }
    struct stat info {};
    if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return Failed(name);
    directories_.insert_or_assign(info.st_ino, Directory{name, entry});
    return OkStatus();
  }

  // A descriptor that stays when OpenDirectory() is called again.
  static Result<sys::UniqueFd> Hold(int fd, const std::string& name) {
    sys::UniqueFd held(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!held.valid()) return Failed(name);
    return held;
  }

  // For changes in it. Valid until the next call. Directories that are missing on the way are made.
  Result<int> OpenDirectory(const std::string& name) {
    if (open_.valid() && open_name_ == name) return open_.get();
    open_ = Open(name, O_RDONLY | O_DIRECTORY);
    if (!open_.valid() && errno == ENOENT && !name.empty()) {
      PYRO_ASSIGN_OR_RETURN(const int parent, OpenDirectory(ParentOf(name)));
      if (::mkdirat(parent, LeafOf(name).c_str(), kMissingDirectory) != 0) {
        // A link that leads nowhere is there.
        return FileError(errno == EEXIST ? ENOENT : errno, "/" + name);
      }
      open_ = Open(name, O_RDONLY | O_DIRECTORY);
    }
    struct stat info {};
    if (!open_.valid() || ::fstat(open_.get(), &info) != 0) return Failed(name);
    open_name_ = name;
    if (!directories_.contains(info.st_ino)) {
      TarEntry entry;
      entry.mode = info.st_mode & 07777;
      entry.uid = info.st_uid;
      entry.gid = info.st_gid;
      entry.seconds = info.st_mtim.tv_sec;
      entry.nanoseconds = info.st_mtim.tv_nsec;
      PYRO_ASSIGN_OR_RETURN(entry.attributes, Attributes(open_.get(), name));
      directories_.emplace(info.st_ino, Directory{name, std::move(entry)});
    }
    return open_.get();
  }

  static Result<std::vector<std::pair<std::string, std::string>>> Attributes(
      int fd, const std::string& name) {
    std::vector<std::pair<std::string, std::string>> attributes;
    if (::flistxattr(fd, nullptr, 0) == 0) return attributes;  // As almost all of them.
    std::string names(XATTR_LIST_MAX, '\0');
    const ssize_t size = ::flistxattr(fd, names.data(), names.size());
    if (size < 0 && errno != ENOTSUP) return Failed(name);
    names.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    for (const std::string_view part : Split(names, '\0')) {
      if (part.empty()) continue;
      std::string value(XATTR_SIZE_MAX, '\0');
      const ssize_t n = ::fgetxattr(fd, std::string(part).c_str(), value.data(), value.size());
      if (n < 0) return Failed(name);
      value.resize(static_cast<std::size_t>(n));
      attributes.emplace_back(part, std::move(value));
    }
    return attributes;
  }

  Status SetAttributesAt(int parent, const TarEntry& entry, const std::string& name) {
    const sys::UniqueFd made(
        ::openat(parent, LeafOf(name).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!made.valid()) return Failed(name);
    return SetAttributes(made.get(), entry, name);
  }

  // `fd` may be of O_PATH, and of a link.
  Status SetAttributes(int fd, const TarEntry& entry, const std::string& name) {
    // The owner first: a change of it takes setuid and capabilities away.
    if (gives_ && ::fchownat(fd, "", static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid),
                             AT_EMPTY_PATH) != 0) {
      return Failed(name);
    }
    if (entry.type != TarEntry::Type::kSymlink &&
        !sys::ChangeMode(fd, static_cast<mode_t>(entry.mode))) {
      return Failed(name);
    }
    const std::string path = fmt::format("/proc/self/fd/{}", fd);
    bool complete = true;
    for (const auto& [key, value] : entry.attributes) {
      if (::setxattr(path.c_str(), key.c_str(), value.data(), value.size(), 0) == 0) continue;
      if (errno == ENOSPC || errno == EDQUOT || errno == EIO) return Failed(name);
      complete = false;
    }
    if (!complete) Lose(name);
    const timespec times[2] = {{0, UTIME_OMIT}, {entry.seconds, entry.nanoseconds}};
    return ::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0 ? OkStatus() : Status(Failed(name));
  }

  void Lose(const std::string& name) {
    lost_.kind = wire::FileNoteKind::kAttributes;
    ++lost_.count;
    if (lost_.names.size() == wire::kMaxNoteNames) return;
    lost_.names.push_back({name.substr(0, wire::kMaxNoteBytes)});
  }

  // A directory that a layer has again has the attributes of the last one alone.
  Status FinishDirectories() {
    for (const auto& [number, directory] : directories_) {
      const auto& [name, entry] = directory;
      const sys::UniqueFd fd = Open(name, O_RDONLY | O_DIRECTORY);
      struct stat info {};
      if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return Failed(name);
      if (info.st_ino != number) return FileError(EPROTO, "/" + name);
      PYRO_ASSIGN_OR_RETURN(const auto before, Attributes(fd.get(), name));
      for (const auto& old : before) {
        const auto stays = [&old](const auto& one) { return one.first == old.first; };
        if (std::none_of(entry.attributes.begin(), entry.attributes.end(), stays) &&
            ::fremovexattr(fd.get(), old.first.c_str()) != 0) {
          return Failed(name);
        }
      }
      PYRO_RETURN_IF_ERROR(SetAttributes(fd.get(), entry, name));
    }
    return OkStatus();
  }

  const sys::UniqueFd root_;
  const int in_;
  const bool gives_ = ::geteuid() == 0;  // Only root may give files away.
  TarInput input_;
  wire::FileEnd end_;
  wire::FileNote lost_;
  std::unordered_set<std::string> own_;  // What this layer has made.
  std::unordered_map<ino_t, Directory> directories_;
  sys::UniqueFd open_;  // Of the last OpenDirectory().
  std::string open_name_;
};

}  // namespace

Result<wire::FileEnd> LayerOperation(const wire::FileRequest& request, const FileStreams& streams) {
  if (streams.data < 0) return FileError(EBADF, "/");
  if (request.make && ::mkdirat(streams.data, request.path.c_str(), kMissingDirectory) != 0) {
    return FileErrno("/");
  }
  sys::UniqueFd root(::openat(streams.data, request.path.c_str(), kOpenTree));
  if (!root.valid()) return FileErrno("/");
  const int disk = root.get();
  LayerUnpacker unpacker(std::move(root), streams.in);
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, unpacker.Run());
  // Tells of what could not be written, too.
  if (request.durable && ::syncfs(disk) != 0) return FileErrno("/");
  return end;
}

}  // namespace pyro::agent
