#include "sys/errno_error.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "base/text.h"
#include "sys/process_state.h"

namespace pyro::sys {
namespace {

ErrorCode CodeOf(int number) {
  switch (number) {
    case ENOENT:
    case ESRCH:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EEXIST:
      return ErrorCode::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::kNoSpace;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kPermissionDenied;
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EBUSY:
    case EPIPE:
    case ECONNREFUSED:
    case ECONNRESET:
      return ErrorCode::kUnavailable;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
      return ErrorCode::kInvalidArgument;
    case ETIMEDOUT:
      return ErrorCode::kTimedOut;
    default:
      return ErrorCode::kInternal;
  }
}

}  // namespace

Error ErrnoError(int number, std::string_view operation, std::string_view subject) {
  // strerrordesc_np: thread-safe, and not translated.
  const char* text = strerrordesc_np(number);
  std::string reason = text != nullptr ? text : fmt::format("error {}", number);
  if (reason.size() > 1 && reason[0] >= 'A' && reason[0] <= 'Z' &&
      !(reason[1] >= 'A' && reason[1] <= 'Z')) {
    reason[0] = static_cast<char>(reason[0] - 'A' + 'a');
  }
  Error error = MakeError(CodeOf(number),
                          subject.empty()
                              ? fmt::format("{}: {}", operation, reason)
                              : fmt::format("{} '{}': {}", operation, Printable(subject), reason));
  error.sys_errno = number;
  if (error.code == ErrorCode::kNoSpace) error.hint = "free some disk space, then try again";
  if (number == EFBIG) {
    // The file system of that file has room; its limit, or this process's, is what is in the way.
    const std::string limit = FileSizeLimitText();
    error.hint =
        limit.empty()
            ? "use a file system that takes larger files"
            : fmt::format("this process {}; raise that before: ulimit -f unlimited", limit);
  }
  if (number == EMFILE) error.hint = "raise the limit on open files before: ulimit -n 4096";
  if (number == ENFILE) error.hint = "this host has too many files open; close some";
  return error;
}

}  // namespace pyro::sys
