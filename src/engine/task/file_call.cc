#include "engine/task/file_call.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/fields.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/explain.h"
#include "engine/requests.h"
#include "engine/session/guest_command.h"

namespace pyro::engine {
namespace {

// The operation's bytes go to the caller; its end, one record on stderr, stays here.
class FileCallSink : public OutputSink {
 public:
  // `most`: bytes that were asked for; 0: all.
  FileCallSink(OutputSink* content, std::int64_t most)
      : content_(content), most_(static_cast<std::uint64_t>(most)) {}

  int WritableFd(OutputStream stream) override {
    if (stream == OutputStream::kStderr || content_ == nullptr) return -1;
    return content_->WritableFd(stream);
  }

  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override {
    if (stream == OutputStream::kStdout) {
      if (content_ == nullptr) {
        return MalformedMessage("content of an operation on files that has none");
      }
      if (most_ > 0 && bytes.size() > most_ - passed_) {
        return MalformedMessage("more of a file than was asked for");
      }
      PYRO_ASSIGN_OR_RETURN(const std::size_t taken, content_->Write(stream, bytes));
      passed_ += taken;
      return taken;
    }
    told_ += bytes.size();
    if (told_ > wire::kMaxRecordBytes + 4) return MalformedMessage("an end that is too long");
    records_.Append(bytes);
    return bytes.size();
  }

  Result<wire::FileEnd> End() {
    PYRO_ASSIGN_OR_RETURN(const auto record, records_.Next());
    if (!record || !records_.empty()) {
      return MalformedMessage("an operation on files without its end");
    }
    return wire::ReadFileEnd(*record);
  }

 private:
  OutputSink* content_;
  const std::uint64_t most_;
  std::uint64_t passed_ = 0;
  wire::FileRecords records_;
  std::size_t told_ = 0;
};

// How the operation's process ended, if it could not say that itself.
Status CheckCarriedOut(const wire::Exec& exec, const CommandEnd& end) {
  if (end.outcome == Outcome::kExited && end.code == 0) return OkStatus();
  if (end.outcome == Outcome::kNotStarted) {
    CommandSpec spec = exec;
    spec.argv = {"pyro-file"};
    const Explanation why = Explain(spec, end, "", InTask::kYes);
    const bool missing = end.code == kNoUser || end.code == kNoGroup || end.code == kNoDirectory;
    return MakeError(missing ? ErrorCode::kNotFound : ErrorCode::kGuestUnavailable, why.message,
                     why.hint);
  }
  return MakeError(ErrorCode::kGuestUnavailable, "the operation on files was killed in the guest",
                   "its memory may be too small, or a command in it did that");
}

// A directory of the guest whose new path is in it.
Error IntoItself(const std::string& from, const std::string& to) {
  Error error =
      MakeError(ErrorCode::kInvalidArgument,
                fmt::format("'{}' in the task is a directory, and '{}' is in it", Printable(from),
                            Printable(to)),
                "a directory cannot be moved or copied into itself: choose a path outside of it");
  error.sys_errno = EINVAL;
  error.path = to;
  return error;
}

// What lets a call through that ended so; empty: the error's own hint is all there is.
std::string_view WayOut(const FileCall& call, int number) {
  const wire::FileRequest& request = call.request;
  switch (request.operation) {
    case wire::FileOperation::kMakeDirectory:
      if (request.parents) break;
      if (number == ENOENT) return "with parents the directories above it are made too";
      if (number == EEXIST) return "with parents a directory that is there is no error";
      break;
    case wire::FileOperation::kRemove:
      if (number == EISDIR) return "with recursive it is removed with what it holds";
      break;
    case wire::FileOperation::kMove:
    case wire::FileOperation::kCopy:
      if (number != EEXIST) break;
      return request.replace ? "a directory is not replaced: remove it first"
                             : "with replace a file that is there is replaced";
    case wire::FileOperation::kPatch:
      if (number == ENOTDIR) return "name the directory that the paths of the patch begin at";
      break;
    default:
      break;
  }
  const bool refused = number == EACCES || number == EPERM;
  return refused && !call.user.empty() ? "without user the call has the rights of root" : "";
}

}  // namespace

Status CheckWrittenOut(const CommandEnd& end) {
  if (!end.disk_failed) return OkStatus();
  const Explanation why = DiskFailed("what the call wrote", InTask::kYes);
  return MakeError(ErrorCode::kNoSpace, why.message, why.hint);
}

Error FileCallError(int number, const std::string& path) {
  const std::string name = Printable(path);
  const auto make = [&](ErrorCode code, std::string message, std::string hint = {}) {
    Error error = MakeError(code, std::move(message), std::move(hint));
    error.sys_errno = number;
    error.path = path;
    return error;
  };
  switch (number) {
    case ENOENT:
      return make(ErrorCode::kNotFound, fmt::format("the task has no file or directory '{}'", name),
                  "relative paths begin at /workspace");
    case EISDIR:
      return make(ErrorCode::kIsDirectory, fmt::format("'{}' in the task is a directory", name),
                  "give the path of a file");
    case ENOTDIR:
      return make(ErrorCode::kNotDirectory,
                  fmt::format("'{}' in the task is not a directory", name),
                  "give the path of a directory, or one below a directory");
    case EEXIST:
      return make(ErrorCode::kAlreadyExists, fmt::format("'{}' in the task exists", name),
                  "give a path where nothing is");
    case EACCES:
    case EPERM:
    case EROFS:
      return make(ErrorCode::kPermissionDenied,
                  fmt::format("the task's system refuses '{}': {}", name, strerrordesc_np(number)));
    case ENOSPC:
    case EDQUOT:
      return make(ErrorCode::kNoSpace, fmt::format("the task's disk has no room for '{}'", name),
                  "delete files in the task, or make one with a larger disk_mib");
    case EINVAL:
      return make(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' in the task is not a regular file", name));
    default:
      break;
  }
  const char* text = strerrordesc_np(number);
  const bool caller = number == ELOOP || number == ENAMETOOLONG;
  return make(caller ? ErrorCode::kInvalidArgument : ErrorCode::kGuestUnavailable,
              fmt::format("'{}' in the task: {}", name,
                          text != nullptr ? text : fmt::format("error {}", number)));
}

Result<wire::FileEnd> CarryOutInGuest(SupervisorLink& link, const FileCall& call,
                                      OutputSink* content, const CallIo& io) {
  wire::Exec exec;
  exec.file = call.request;
  exec.cwd = kWorkspace;
  exec.user = call.user;
  exec.sync = call.changes;
  const wire::FileOperation operation = call.request.operation;
  const bool read = operation == wire::FileOperation::kRead;
  FileCallSink sink(content, read ? call.request.limit : 0);
  TaskWork command(link, exec, io);
  if (Status done = CommandSession(command, &sink, io).Run(); !done) {
    Error error = std::move(done).error();
    if (error.code == ErrorCode::kProtocol && error.hint.empty()) {
      error.hint = "its supervisor may be of an earlier version: stop the task, and call again";
    }
    return error;
  }
  PYRO_RETURN_IF_ERROR(CheckCarriedOut(exec, command.end()));
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, sink.End());
  const int number = static_cast<int>(end.error);
  // Other errors are the caller's to correct, with any disk.
  if (number == 0 || number == EROFS || number == EIO) {
    PYRO_RETURN_IF_ERROR(CheckWrittenOut(command.end()));
  }
  if (number == 0) return end;
  const auto code = ErrorCodeFromNumber(static_cast<int>(end.code));
  if (operation == wire::FileOperation::kPatch && code && !end.message.empty()) {
    const auto& hints = wire::patch_hint::kAll;
    const bool known = std::find(hints.begin(), hints.end(), end.hint) != hints.end();
    Error error = MakeError(*code, Printable(end.message, end.message.size()),
                            known ? end.hint : std::string());
    error.path = end.path;
    return error;
  }
  const bool to_another_path =
      operation == wire::FileOperation::kMove || operation == wire::FileOperation::kCopy;
  if (to_another_path && number == EINVAL) return IntoItself(call.request.path, end.path);
  Error error = FileCallError(number, end.path);
  if (const auto way = WayOut(call, number); !way.empty()) error.hint = way;
  return error;
}

}  // namespace pyro::engine
