// A tar on stdin, as files below a directory.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/file_work.h"
#include "agent/tar_content.h"
#include "agent/tar_format.h"
#include "base/try.h"
#include "sys/files.h"
#include "sys/tree_steps.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

class Unpacker {
 public:
  Unpacker(const wire::FileRequest& request, int in)
      : path_(request.path),
        keep_(request.keep),
        made_(request.make),
        in_(in),
        input_(TarSource(in, request.path)) {}

  Result<wire::FileEnd> Run() {
    root_ = sys::UniqueFd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root_.valid()) return FileErrno(path_);
    while (true) {
      auto entry = input_.Next();
      if (!entry) return FileError(entry.error().sys_errno, path_);
      if (!*entry) break;
      ++end_.entries;
      PYRO_RETURN_IF_ERROR(Add(**entry));
    }
    PYRO_RETURN_IF_ERROR(FinishDirectories());
    return std::move(end_);
  }

 private:
  struct Level {
    std::string name;
    sys::UniqueFd fd;
  };

  std::string Whole(const std::string& name) const {
    return name.empty() ? path_ : path_ + "/" + name;
  }
  Error Failed(const std::string& name) const { return FileErrno(Whole(name)); }

  Status Add(const TarEntry& entry) {
    PYRO_ASSIGN_OR_RETURN(const std::string name, CleanName(entry.name));
    if (entry.type == TarEntry::Type::kDirectory) return AddDirectory(entry, name);
    if (name.empty()) return FileError(EPROTO, path_);
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

  // Makes something new of the name, in the place of what is there. `make` sets errno.
  template <typename Make>
  Status Place(int parent, const std::string& name, const Make& make) {
    const std::string leaf = LeafOf(name);
    if (make(leaf.c_str())) return OkStatus();
    if (errno != EEXIST) return Failed(name);
    if (::unlinkat(parent, leaf.c_str(), 0) != 0 && errno != ENOENT) {
      if (errno != EISDIR && errno != EPERM) return Failed(name);
      if (::unlinkat(parent, leaf.c_str(), AT_REMOVEDIR) != 0) {
        return FileError(errno == ENOTEMPTY || errno == EEXIST ? EISDIR : errno, Whole(name));
      }
      directories_.erase(name);
    }
    return make(leaf.c_str()) ? OkStatus() : Status(Failed(name));
  }

  Status AddFile(int parent, const TarEntry& entry, const std::string& name) {
    sys::UniqueFd fd;
    PYRO_RETURN_IF_ERROR(Place(parent, name, [&](const char* leaf) {
      fd = sys::UniqueFd(
          ::openat(parent, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      return fd.valid();
    }));
    PYRO_RETURN_IF_ERROR(WriteTarContent(input_, in_, fd.get(), entry, Whole(name)));
    end_.bytes += entry.size;
    // The owner first: a change of it takes setuid away.
    if (gives_ &&
        ::fchown(fd.get(), static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid)) != 0) {
      return Failed(name);
    }
    const timespec times[2] = {{0, UTIME_OMIT}, {entry.seconds, entry.nanoseconds}};
    if (::fchmod(fd.get(), static_cast<mode_t>(entry.mode)) != 0 ||
        ::futimens(fd.get(), times) != 0) {
      return Failed(name);
    }
    return OkStatus();
  }

  Status AddHardLink(const TarEntry& entry, const std::string& name) {
    PYRO_ASSIGN_OR_RETURN(const std::string target, CleanName(entry.target));
    if (target.empty()) return FileError(EPROTO, Whole(name));
    if (target == name) return OkStatus();
    PYRO_ASSIGN_OR_RETURN(const int from, OpenDirectory(ParentOf(target)));
    const sys::UniqueFd held(::fcntl(from, F_DUPFD_CLOEXEC, 0));
    PYRO_ASSIGN_OR_RETURN(const int parent, OpenDirectory(ParentOf(name)));
    // Without AT_SYMLINK_FOLLOW: a link to a symbolic link is one more name of that link.
    return Place(parent, name, [&](const char* leaf) {
      return ::linkat(held.get(), LeafOf(target).c_str(), parent, leaf, 0) == 0;
    });
  }

  Status AddSymlink(int parent, const TarEntry& entry, const std::string& name) {
    PYRO_RETURN_IF_ERROR(Place(parent, name, [&](const char* leaf) {
      return ::symlinkat(entry.target.c_str(), parent, leaf) == 0;
    }));
    return SetAttributes(parent, entry, name, false);
  }

  Status AddDevice(int parent, const TarEntry& entry, const std::string& name) {
    const mode_t type = entry.type == TarEntry::Type::kFifo              ? S_IFIFO
                        : entry.type == TarEntry::Type::kCharacterDevice ? S_IFCHR
                                                                         : S_IFBLK;
    const dev_t device = makedev(entry.device_major, entry.device_minor);
    PYRO_RETURN_IF_ERROR(Place(parent, name, [&](const char* leaf) {
      return ::mknodat(parent, leaf, type | 0600, device) == 0;
    }));
    return SetAttributes(parent, entry, name, true);
  }

  Status SetAttributes(int parent, const TarEntry& entry, const std::string& name, bool mode) {
    const std::string leaf = LeafOf(name);
    const sys::UniqueFd made(::openat(parent, leaf.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!made.valid()) return Failed(name);
    if (gives_ && ::fchownat(made.get(), "", static_cast<uid_t>(entry.uid),
                             static_cast<gid_t>(entry.gid), AT_EMPTY_PATH) != 0) {
      return Failed(name);
    }
    if (mode && !sys::ChangeMode(made.get(), static_cast<mode_t>(entry.mode))) return Failed(name);
    const timespec times[2] = {{0, UTIME_OMIT}, {entry.seconds, entry.nanoseconds}};
    if (::utimensat(parent, leaf.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return Failed(name);
    return OkStatus();
  }

  Status AddDirectory(const TarEntry& entry, const std::string& name) {
    bool fresh = name.empty() && made_;
    if (!name.empty()) {
      PYRO_ASSIGN_OR_RETURN(const int parent, OpenDirectory(ParentOf(name)));
      PYRO_RETURN_IF_ERROR(Place(parent, name, [&](const char* leaf) {
        if (::mkdirat(parent, leaf, 0700) == 0) return fresh = true;
        struct stat info {};
        const bool there = ::fstatat(parent, leaf, &info, AT_SYMLINK_NOFOLLOW) == 0;
        errno = EEXIST;
        return there && S_ISDIR(info.st_mode);
      }));
    }
    fresh = missing_.erase(name) > 0 || fresh;
    if (fresh || !keep_) directories_.insert_or_assign(name, entry);
    return OkStatus();
  }

  // Valid until the next call. Directories that are missing on the way are made.
  Result<int> OpenDirectory(const std::string& name) {
    while (!levels_.empty() && levels_.back().name != name &&
           !name.starts_with(levels_.back().name + "/")) {
      levels_.pop_back();
    }
    std::size_t begin = levels_.empty() ? 0 : levels_.back().name.size() + 1;
    while (begin < name.size()) {
      if (std::ssize(levels_) == kMostLevels) return FileError(ENAMETOOLONG, Whole(name));
      const std::size_t end = std::min(name.find('/', begin), name.size());
      const std::string leaf = name.substr(begin, end - begin);
      const std::string path = name.substr(0, end);
      const int at = levels_.empty() ? root_.get() : levels_.back().fd.get();
      sys::UniqueFd next(::openat(at, leaf.c_str(), kOpenTree));
      if (!next.valid() && errno == ENOENT && ::mkdirat(at, leaf.c_str(), kMissingDirectory) == 0) {
        missing_.insert(path);
        next = sys::UniqueFd(::openat(at, leaf.c_str(), kOpenTree));
      }
      // A link in its place is not followed.
      if (!next.valid()) return FileError(errno == ELOOP ? ENOTDIR : errno, Whole(path));
      levels_.push_back({path, std::move(next)});
      begin = end + 1;
    }
    return levels_.empty() ? root_.get() : levels_.back().fd.get();
  }

  // What a directory holds comes before it: a change in it is one of its time.
  Status FinishDirectories() {
    if (made_ && !directories_.contains("") && ::fchmod(root_.get(), kMissingDirectory) != 0) {
      return Failed("");
    }
    for (auto one = directories_.rbegin(); one != directories_.rend(); ++one) {
      const auto& [name, entry] = *one;
      PYRO_ASSIGN_OR_RETURN(const int fd, OpenDirectory(name));
      if (gives_ &&
          ::fchown(fd, static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid)) != 0) {
        return Failed(name);
      }
      const timespec times[2] = {{0, UTIME_OMIT}, {entry.seconds, entry.nanoseconds}};
      if (::fchmod(fd, static_cast<mode_t>(entry.mode)) != 0 || ::futimens(fd, times) != 0) {
        return Failed(name);
      }
    }
    return OkStatus();
  }

  const std::string path_;
  const bool keep_;
  const bool made_;  // The directory itself.
  const int in_;
  const bool gives_ = ::geteuid() == 0;  // Only root may give files away.
  TarInput input_;
  wire::FileEnd end_;
  sys::UniqueFd root_;
  std::vector<Level> levels_;  // Open, from the root's on; each is in the one before.
  std::map<std::string, TarEntry> directories_;  // Their attributes are those of the end.
  std::set<std::string> missing_;                // That were made without an entry of theirs.
};

Status MakeTarget(const wire::FileRequest& request) {
  if (!request.make) return OkStatus();
  if (request.replace) {
    std::int64_t removed = 0;
    PYRO_RETURN_IF_ERROR(RemoveTree(AT_FDCWD, request.path, request.path, 0, removed));
  }
  if (request.parents) PYRO_RETURN_IF_ERROR(MakeParents(SplitPath(request.path).first));
  // Until it is complete it is for its owner alone.
  return ::mkdir(request.path.c_str(), 0700) == 0 ? OkStatus() : Status(FileErrno(request.path));
}

}  // namespace

Result<wire::FileEnd> UnpackOperation(const wire::FileRequest& request,
                                      const FileStreams& streams) {
  if (request.layer) return LayerOperation(request, streams);
  PYRO_RETURN_IF_ERROR(MakeTarget(request));
  return Unpacker(request, streams.in).Run();
}

}  // namespace pyro::agent
