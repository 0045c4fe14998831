#include "db/sqlite_error.h"

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

#include <fmt/format.h>
#include <sqlite3.h>

namespace pyro::db {
namespace {

constexpr const char kAccessHint[] =
    "check the owner and the mode of the file and of its directory";

ErrorCode CodeOfErrno(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::kNoSpace;
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return ErrorCode::kUnavailable;
    default:
      return ErrorCode::kInternal;
  }
}

Error NoSpace(std::string_view path) {
  return MakeError(ErrorCode::kNoSpace, fmt::format("'{}': no space left for it", path),
                   "free some space in that file system, then try again");
}

// For the codes that stand for a failed system call.
Error SystemError(sqlite3* handle, int code, std::string_view path) {
  const int number = handle == nullptr ? 0 : sqlite3_system_errno(handle);
  if (number != 0 && number != EIO) return FileError(number, path);
  return MakeError(ErrorCode::kUnavailable,
                   fmt::format("'{}': {} ({})", path, sqlite3_errstr(code), code),
                   "see the kernel's log for errors of the disk, then try again");
}

// `path`: the file that the error names.
Error Translate(sqlite3* handle, int code, std::string_view path) {
  const std::string text = handle == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle);
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return MakeError(ErrorCode::kUnavailable,
                       fmt::format("'{}' is being used by another process", path),
                       "try again in a moment");
    case SQLITE_FULL:
      return NoSpace(path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return BrokenDatabase(path, text);
    case SQLITE_IOERR:
      if (code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS) {
        return BrokenDatabase(path, text);
      }
      return SystemError(handle, code, path);
    case SQLITE_CANTOPEN:
      return SystemError(handle, code, path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return MakeError(ErrorCode::kPermissionDenied,
                       fmt::format("'{}' cannot be written by this user", path), kAccessHint);
    case SQLITE_NOMEM:
      return MakeError(ErrorCode::kUnavailable, fmt::format("'{}': out of memory", path));
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) {
        return MakeError(ErrorCode::kAlreadyExists, fmt::format("'{}': {}", path, text));
      }
      break;
    default:
      break;
  }
  return MakeError(ErrorCode::kInternal, fmt::format("'{}': {}", path, text));
}

}  // namespace

Error FileError(int number, std::string_view path) {
  const ErrorCode code = CodeOfErrno(number);
  Error error =
      code == ErrorCode::kNoSpace
          ? NoSpace(path)
          : MakeError(code, fmt::format("'{}': {}", path, std::generic_category().message(number)));
  if (code == ErrorCode::kPermissionDenied) error.hint = kAccessHint;
  if (number == EFBIG) {
    error.message = fmt::format("'{}': it may not grow any further", path);
    error.hint = "raise the limit on the size of files before: ulimit -f unlimited";
  }
  if (number == EMFILE) error.hint = "raise the limit on open files before: ulimit -n 4096";
  error.sys_errno = number;
  return error;
}

Error BrokenDatabase(std::string_view path, std::string_view what) {
  return MakeError(
      ErrorCode::kDataLoss, fmt::format("'{}' is broken: {}", path, what),
      fmt::format(
          "move it away together with '{0}-wal' and '{0}-shm', and a new one is made at the "
          "next call; `sqlite3 FILE .recover` may still read the old one",
          path));
}

Error OpenError(sqlite3* handle, int code, std::string_view path) {
  // SQLite follows symbolic links first, and has room for a suffix such as "-journal" behind.
  constexpr std::size_t kSuffixBytes = 8;
  const sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
  const auto room = static_cast<std::size_t>(vfs == nullptr ? 0 : vfs->mxPathname) - kSuffixBytes;
  std::error_code failure;
  const std::size_t bytes = std::filesystem::canonical(path, failure).native().size();
  if (vfs != nullptr && bytes > room) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}': its path has {} bytes, and SQLite takes {}", path, bytes, room),
        "choose a directory with a shorter path; see PYRO_STATE_DIR");
  }
  return Translate(handle, code, path);
}

Error SqliteError(sqlite3* handle, int code) {
  const char* name = handle == nullptr ? nullptr : sqlite3_db_filename(handle, "main");
  return Translate(handle, code, name == nullptr ? "" : name);
}

}  // namespace pyro::db
