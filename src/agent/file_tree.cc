// New directories, and files and trees that are removed, moved and copied.

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "agent/file_work.h"
#include "base/try.h"
#include "sys/tree_steps.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

// Without slashes at the end: the last part of each path is a name.
wire::FileRequest Trimmed(wire::FileRequest request) {
  for (std::string* const path : {&request.path, &request.to}) {
    while (path->size() > 1 && path->ends_with('/')) path->pop_back();
  }
  return request;
}

Result<wire::FileEnd> EndWith(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return FileErrno(path);
  wire::FileEnd end;
  end.entry = EntryOf(AT_FDCWD, path, info, AbsolutePath(path));
  return end;
}

Status RemovePath(const std::string& path, std::int64_t& removed) {
  return RemoveTree(AT_FDCWD, path, path, 0, removed);
}

// The place of a copy: a name in an open directory, and how errors call it.
struct CopyPlace {
  int directory;
  std::string name;
  std::string path;
};

Status KeepAttributes(const CopyPlace& to, const struct stat& info) {
  // The owner first: a change of it takes setuid away. Only root may give files away.
  if (::fchownat(to.directory, to.name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) !=
          0 &&
      errno != EPERM) {
    return FileErrno(to.path);
  }
  if (!S_ISLNK(info.st_mode)) {
    // fchmodat(2) would follow a link that has taken its place, with the rights of root.
    const sys::UniqueFd copy(
        ::openat(to.directory, to.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat made {};
    if (!copy.valid() || ::fstat(copy.get(), &made) != 0) return FileErrno(to.path);
    if (S_ISLNK(made.st_mode)) return FileError(ELOOP, to.path);
    if (!sys::ChangeMode(copy.get(), info.st_mode & 07777)) return FileErrno(to.path);
  }
  const timespec times[2] = {info.st_atim, info.st_mtim};
  if (::utimensat(to.directory, to.name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return FileErrno(to.path);
  }
  return OkStatus();
}

Status CopyContent(const CopyPlace& from, const CopyPlace& to, const struct stat& info) {
  const sys::UniqueFd in(
      ::openat(from.directory, from.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!in.valid()) return FileErrno(from.path);
  const sys::UniqueFd out(
      ::openat(to.directory, to.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out.valid()) return FileErrno(to.path);
  std::int64_t left = info.st_size;
  while (left > 0) {
    const ssize_t n =
        ::copy_file_range(in.get(), nullptr, out.get(), nullptr, static_cast<std::size_t>(left), 0);
    if (n < 0 && errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS) {
      return FileErrno(to.path);
    }
    if (n <= 0) break;  // Nothing more, or the file system has no such call.
    left -= n;
  }
  PYRO_RETURN_IF_ERROR(CopyBytes(in.get(), out.get(), 0, to.path));
  return OkStatus();
}

Status CopyTree(const CopyPlace& from, const CopyPlace& to, int level);

Status CopyEntries(const CopyPlace& from, const CopyPlace& to, int level) {
  if (level == kMostLevels) return FileError(ENAMETOOLONG, from.path);
  const sys::UniqueFd in(::openat(from.directory, from.name.c_str(), kOpenTree));
  if (!in.valid()) return FileErrno(from.path);
  if (::mkdirat(to.directory, to.name.c_str(), 0700) != 0) return FileErrno(to.path);
  const sys::UniqueFd out(::openat(to.directory, to.name.c_str(), kOpenTree));
  if (!out.valid()) return FileErrno(to.path);
  PYRO_ASSIGN_OR_RETURN(const NamesIn names, ReadNames(in.get(), -1, from.path));
  for (const std::string& name : names.names) {
    PYRO_RETURN_IF_ERROR(CopyTree({in.get(), name, from.path + "/" + name},
                                  {out.get(), name, to.path + "/" + name}, level + 1));
  }
  return OkStatus();
}

Status CopyTree(const CopyPlace& from, const CopyPlace& to, int level) {
  struct stat info {};
  if (::fstatat(from.directory, from.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return FileErrno(from.path);
  }
  switch (info.st_mode & S_IFMT) {
    case S_IFDIR:
      PYRO_RETURN_IF_ERROR(CopyEntries(from, to, level));
      break;
    case S_IFREG:
      PYRO_RETURN_IF_ERROR(CopyContent(from, to, info));
      break;
    case S_IFLNK: {
      const wire::FileEntry link = EntryOf(from.directory, from.name, info, from.path);
      if (::symlinkat(link.target.c_str(), to.directory, to.name.c_str()) != 0) {
        return FileErrno(to.path);
      }
      break;
    }
    default:
      // A socket too becomes a name that leads nowhere, as with cp.
      if (::mknodat(to.directory, to.name.c_str(), info.st_mode & (S_IFMT | 07777), info.st_rdev) !=
          0) {
        return FileErrno(to.path);
      }
  }
  return KeepAttributes(to, info);
}

std::string RealPath(const std::string& path) {
  char* const resolved = ::realpath(path.c_str(), nullptr);
  std::string text = resolved == nullptr ? "" : resolved;
  std::free(resolved);
  return text;
}

// What is to come to `to` may come there, and the directories above are made.
Status PrepareTarget(const wire::FileRequest& request) {
  struct stat info {};
  if (::lstat(request.path.c_str(), &info) != 0) return FileErrno(request.path);
  const bool directory = S_ISDIR(info.st_mode);
  const auto [parent, name] = SplitPath(request.to);
  if (name.empty() || name == "." || name == "..") return FileError(EEXIST, request.to);
  // Before any directory is made, which would come to be in it.
  std::string above = parent;
  while (RealPath(above).empty() && above != "/") above = SplitPath(above).first;
  if (directory && (RealPath(above) + "/").starts_with(RealPath(request.path) + "/")) {
    return FileError(EINVAL, request.to);
  }
  PYRO_RETURN_IF_ERROR(MakeParents(parent));
  if (::lstat(request.to.c_str(), &info) == 0 &&
      (!request.replace || directory || S_ISDIR(info.st_mode))) {
    return FileError(EEXIST, request.to);
  }
  return OkStatus();
}

Status Rename(const std::string& from, const wire::FileRequest& request) {
  const unsigned flags = request.replace ? 0 : RENAME_NOREPLACE;
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, request.to.c_str(), flags) == 0) {
    return OkStatus();
  }
  // A file system may know no such flag. What is there was looked for before.
  if (flags != 0 && errno == EINVAL && ::rename(from.c_str(), request.to.c_str()) == 0) {
    return OkStatus();
  }
  return FileErrno(errno == EEXIST ? request.to : from);
}

// Beside its place first: others see a whole tree or none.
Status CopyInto(const wire::FileRequest& request) {
  const auto [parent, name] = SplitPath(request.to);
  const std::string beside = (parent == "/" ? "" : parent) + "/" + HiddenName();
  Status copied =
      CopyTree({AT_FDCWD, request.path, request.path}, {AT_FDCWD, beside, request.to}, 0);
  if (copied) copied = Rename(beside, request);
  if (copied) return OkStatus();
  std::int64_t removed = 0;
  (void)RemovePath(beside, removed);
  if (copied.error().path == beside) return FileError(copied.error().sys_errno, request.to);
  return copied;
}

}  // namespace

Status RemoveTree(int directory, const std::string& name, const std::string& path, int level,
                  std::int64_t& removed) {
  if (::unlinkat(directory, name.c_str(), 0) == 0) {
    ++removed;
    return OkStatus();
  }
  if (errno == ENOENT) return OkStatus();
  if (errno != EISDIR && errno != EPERM) return FileErrno(path);
  const int unlinked = errno;
  const sys::UniqueFd below(::openat(directory, name.c_str(), kOpenTree));
  if (!below.valid()) return FileError(errno == ENOTDIR ? unlinked : errno, path);
  if (level == kMostLevels) return FileError(ENAMETOOLONG, path);
  PYRO_ASSIGN_OR_RETURN(const NamesIn in, ReadNames(below.get(), -1, path));
  for (const std::string& one : in.names) {
    PYRO_RETURN_IF_ERROR(RemoveTree(below.get(), one, path + "/" + one, level + 1, removed));
  }
  if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0) return FileErrno(path);
  ++removed;
  return OkStatus();
}

Result<wire::FileEnd> MakeDirectoryOperation(const wire::FileRequest& request) {
  const std::string path = Trimmed(request).path;
  if (request.parents) {
    struct stat info {};
    // A file in its place, unlike one above it, is what is there already.
    if (::stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) return FileError(EEXIST, path);
    PYRO_RETURN_IF_ERROR(MakeParents(path));
  } else if (::mkdir(path.c_str(), 0755) != 0) {
    return FileErrno(path);
  }
  return EndWith(path);
}

Result<wire::FileEnd> RemoveOperation(const wire::FileRequest& request) {
  wire::FileEnd end;
  struct stat info {};
  if (::lstat(request.path.c_str(), &info) != 0) {
    if (errno == ENOENT && request.recursive) return end;
    return FileErrno(request.path);
  }
  if (S_ISDIR(info.st_mode) && !request.recursive) return FileError(EISDIR, request.path);
  PYRO_RETURN_IF_ERROR(RemovePath(Trimmed(request).path, end.entries));
  return end;
}

Result<wire::FileEnd> MoveOperation(const wire::FileRequest& asked) {
  const wire::FileRequest request = Trimmed(asked);
  PYRO_RETURN_IF_ERROR(PrepareTarget(request));
  if (Status moved = Rename(request.path, request); !moved) {
    if (moved.error().sys_errno != EXDEV) return std::move(moved).error();
    PYRO_RETURN_IF_ERROR(CopyInto(request));
    std::int64_t removed = 0;
    PYRO_RETURN_IF_ERROR(RemovePath(request.path, removed));
  }
  return EndWith(request.to);
}

Result<wire::FileEnd> CopyOperation(const wire::FileRequest& asked) {
  const wire::FileRequest request = Trimmed(asked);
  PYRO_RETURN_IF_ERROR(PrepareTarget(request));
  PYRO_RETURN_IF_ERROR(CopyInto(request));
  return EndWith(request.to);
}

}  // namespace pyro::agent
