#include "agent/file_program.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <memory>
#include <utility>

#include "agent/file_work.h"
#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/files.h"
#include "sys/unique_fd.h"
#include "wire/messages.h"

namespace pyro::agent {
namespace {

constexpr std::size_t kMaxRequestBytes = 64 * 1024;
constexpr std::size_t kCopyBytes = 256 * 1024;

Result<wire::FileRequest> ReadRequest() {
  PYRO_ASSIGN_OR_RETURN(const std::string bytes, sys::ReadAll(kFileRequestFd, kMaxRequestBytes));
  PYRO_ASSIGN_OR_RETURN(
      const Json json,
      ParseCbor({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}));
  return wire::FileRequest::FromJson(json);
}

FileKind KindOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return FileKind::kDirectory;
    case S_IFLNK:
      return FileKind::kSymlink;
    case S_IFIFO:
      return FileKind::kFifo;
    case S_IFSOCK:
      return FileKind::kSocket;
    case S_IFCHR:
      return FileKind::kCharacterDevice;
    case S_IFBLK:
      return FileKind::kBlockDevice;
    default:
      return FileKind::kFile;
  }
}

// Moves pages from or to a pipe without a copy of them. 0: at the end. -1 with EINVAL: neither is a
// pipe, or the file cannot do it.
ssize_t Splice(int from, int to, std::size_t bytes) {
  ssize_t n;
  do {
    n = ::splice(from, nullptr, to, nullptr, bytes, SPLICE_F_MOVE);
  } while (n < 0 && errno == EINTR);
  return n;
}

Result<wire::FileEnd> Dispatch(const wire::FileRequest& request, const FileStreams& streams) {
  switch (request.operation) {
    case wire::FileOperation::kRead:
      return ReadOperation(request, streams);
    case wire::FileOperation::kWrite:
      return WriteOperation(request, streams);
    case wire::FileOperation::kStat:
      return StatOperation(request);
    case wire::FileOperation::kList:
      return ListOperation(request, streams);
    case wire::FileOperation::kWriteMany:
      return WriteManyOperation(request, streams);
    case wire::FileOperation::kMakeDirectory:
      return MakeDirectoryOperation(request);
    case wire::FileOperation::kRemove:
      return RemoveOperation(request);
    case wire::FileOperation::kMove:
      return MoveOperation(request);
    case wire::FileOperation::kCopy:
      return CopyOperation(request);
    case wire::FileOperation::kWatch:
      return WatchOperation(request, streams);
    case wire::FileOperation::kPatch:
      return PatchOperation(request, streams);
    case wire::FileOperation::kPack:
      return PackOperation(request, streams);
    case wire::FileOperation::kUnpack:
      return UnpackOperation(request, streams);
  }
  return FileError(ENOSYS, request.path);
}

}  // namespace

Error FileError(int number, std::string path) {
  Error error;
  error.sys_errno = number;
  error.path = std::move(path);
  return error;
}

Error FileErrno(std::string path) { return FileError(errno, std::move(path)); }

std::string AbsolutePath(const std::string& path) {
  std::string whole = path;
  if (!path.starts_with('/')) {
    char directory[PATH_MAX] = "/";
    if (::getcwd(directory, sizeof directory) == nullptr) directory[1] = '\0';
    whole = std::string(directory) + "/" + path;
  }
  std::string absolute;
  for (const std::string_view part : Split(whole, '/')) {
    if (!part.empty() && part != ".") absolute += "/" + std::string(part);
  }
  if (absolute.empty()) return "/";
  return absolute.substr(0, wire::kMaxPathBytes);
}

wire::FileEntry EntryOf(int directory, const std::string& name, const struct stat& info,
                        std::string path) {
  wire::FileEntry entry;
  entry.path = std::move(path);
  entry.kind = KindOf(info.st_mode);
  entry.bytes = std::max<std::int64_t>(0, info.st_size);
  entry.mode = info.st_mode & 07777;
  entry.uid = info.st_uid;
  entry.gid = info.st_gid;
  entry.modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  if (entry.kind == FileKind::kSymlink) {
    char target[PATH_MAX];
    const ssize_t n = ::readlinkat(directory, name.c_str(), target, wire::kMaxPathBytes);
    if (n > 0) entry.target.assign(target, static_cast<std::size_t>(n));
  }
  return entry;
}

Result<std::int64_t> CopyBytes(int from, int to, std::int64_t limit, const std::string& path) {
  std::unique_ptr<char[]> buffer;  // Once pages cannot be moved.
  std::int64_t done = 0;
  while (limit == 0 || done < limit) {
    const std::size_t want = static_cast<std::size_t>(std::min<std::int64_t>(
        static_cast<std::int64_t>(kCopyBytes), limit == 0 ? INT64_MAX : limit - done));
    ssize_t n = buffer ? -1 : Splice(from, to, want);
    if (!buffer && n < 0 && errno != EINVAL) return FileErrno(path);
    if (n < 0) {
      if (!buffer) buffer = std::make_unique_for_overwrite<char[]>(kCopyBytes);
      do {
        n = ::read(from, buffer.get(), want);
      } while (n < 0 && errno == EINTR);
      if (n < 0) return FileErrno(path);
      const auto written = sys::WriteAll(to, {buffer.get(), static_cast<std::size_t>(n)});
      if (!written) return FileError(written.error().sys_errno, path);
    }
    if (n == 0) break;
    done += n;
  }
  return done;
}

Result<wire::FileEnd> ReadOperation(const wire::FileRequest& request, const FileStreams& streams) {
  const sys::UniqueFd file(
      ::open(request.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info {};
  if (!file.valid() || ::fstat(file.get(), &info) != 0) return FileErrno(request.path);
  if (S_ISDIR(info.st_mode)) return FileError(EISDIR, request.path);
  if (!S_ISREG(info.st_mode)) return FileError(EINVAL, request.path);
  if (request.offset > 0 && ::lseek(file.get(), request.offset, SEEK_SET) < 0) {
    return FileErrno(request.path);
  }
  wire::FileEnd end;
  end.file_bytes = info.st_size;
  PYRO_ASSIGN_OR_RETURN(end.bytes, CopyBytes(file.get(), streams.out, request.limit, request.path));
  return end;
}

Result<wire::FileEnd> StatOperation(const wire::FileRequest& request) {
  struct stat info {};
  if (::lstat(request.path.c_str(), &info) != 0) return FileErrno(request.path);
  // A link that leads nowhere is not nothing.
  if (request.follow && ::stat(request.path.c_str(), &info) != 0) {
    return FileError(errno == ENOENT ? ELOOP : errno, request.path);
  }
  wire::FileEnd end;
  end.entry = EntryOf(AT_FDCWD, request.path, info, AbsolutePath(request.path));
  return end;
}

wire::FileEnd CarryOut(const wire::FileRequest& request, const FileStreams& streams) {
  const std::string about = AbsolutePath(request.path);  // Before an operation enters a directory.
  auto done = Dispatch(request, streams);
  if (!done) {
    wire::FileEnd end;
    end.error = done.error().sys_errno == 0 ? EIO : done.error().sys_errno;
    end.path = AbsolutePath(done.error().path);
    if (!done.error().message.empty()) {
      end.code = static_cast<std::int64_t>(done.error().code);
      end.message = done.error().message.substr(0, wire::kMaxEndText);
      end.hint = done.error().hint.substr(0, wire::kMaxEndText);
    }
    return end;
  }
  done->path = about;
  return std::move(*done);
}

int FileProgram() {
  ::prctl(PR_SET_NAME, kFileProgram);  // The kernel calls it after its descriptor.
  ::umask(022);
  rlimit files{};
  // Each level of a tree takes one.
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::signal(SIGXFSZ, SIG_IGN);  // An errno tells of it.
  const auto request = ReadRequest();
  if (!request) return 1;
  const int data = ::fcntl(kFileDataFd, F_GETFD) < 0 ? -1 : kFileDataFd;
  const wire::FileEnd end = CarryOut(*request, {STDIN_FILENO, STDOUT_FILENO, data});
  return sys::WriteAll(STDERR_FILENO, wire::FileRecord(end)).ok() ? 0 : 1;
}

}  // namespace pyro::agent
