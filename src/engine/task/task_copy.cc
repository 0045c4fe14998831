// Copies between this host and a task, by the rules of `docker cp`.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "archive/extract.h"
#include "archive/pack.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/local_engine.h"
#include "engine/requests.h"
#include "engine/task/file_call.h"
#include "engine/task/running_task.h"
#include "engine/task/task_transfer.h"
#include "engine/task/transfer_notices.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;
using archive::Exported;

constexpr std::string_view kStdin = "-";

// The content of a directory is meant, and not the directory.
bool MeansContent(const std::string& path) { return path == "." || path.ends_with("/."); }
bool MeansDirectory(const std::string& path) { return path.ends_with('/') || MeansContent(path); }

std::string Below(const std::string& directory, const std::string& name) {
  return (directory == "/" ? "" : directory) + "/" + name;
}

// What is at the destination in the guest, of which the directory must be there.
Result<std::optional<Exported>> LookAtTarget(SupervisorLink& link, const std::string& path,
                                             const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(const auto what, LookInGuest(link, path, io));
  if (what) return what;
  const std::string parent = fs::path(path).parent_path().native();
  PYRO_ASSIGN_OR_RETURN(const auto above, LookInGuest(link, parent, io));
  if (above == Exported::kDirectory) return what;
  return FileCallError(above ? ENOTDIR : ENOENT, parent);
}

Result<std::uint64_t> CopyFileIn(SupervisorLink& link, const std::string& source,
                                 const std::string& target, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd file, sys::OpenFile(source, O_RDONLY | O_NONBLOCK));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return sys::ErrnoError(errno, "read", source);
  if (!S_ISREG(info.st_mode)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is neither a file nor a directory", Printable(source)));
  }
  FileCall call;
  call.request.operation = wire::FileOperation::kWrite;
  call.request.path = target;
  call.request.mode = info.st_mode & 0777;
  call.changes = true;
  CallIo own = io;
  own.stdin_fd = file.get();
  PYRO_ASSIGN_OR_RETURN(const wire::FileEnd end, CarryOutInGuest(link, call, nullptr, own));
  return static_cast<std::uint64_t>(end.bytes);
}

// The destination of a file, or of a tree, in the guest.
Result<std::string> TargetInGuest(SupervisorLink& link, const CopyIntoTaskRequest& request,
                                  bool directory, std::optional<Exported>& there,
                                  const CallIo& io) {
  std::string target = GuestPath(request.path);
  PYRO_ASSIGN_OR_RETURN(there, LookAtTarget(link, target, io));
  if (there == Exported::kFile && (directory || MeansDirectory(request.path))) {
    return FileCallError(ENOTDIR, target);
  }
  if (!there && !directory && MeansDirectory(request.path)) return FileCallError(ENOENT, target);
  if (there != Exported::kDirectory || (directory && MeansContent(request.source_path))) {
    return target;
  }
  fs::path source = fs::absolute(request.source_path).lexically_normal();
  if (source.filename().empty()) source = source.parent_path();
  target = Below(target, source.filename().native());
  PYRO_ASSIGN_OR_RETURN(there, LookInGuest(link, target, io));
  if (there == Exported::kDirectory && !directory) return FileCallError(EISDIR, target);
  if (there == Exported::kFile && directory) return FileCallError(ENOTDIR, target);
  return target;
}

// Of directories that are there, modes and times stay.
FileCall UnpackCall(const std::string& target, bool there) {
  FileCall call;
  call.request.operation = wire::FileOperation::kUnpack;
  call.request.path = target;
  call.request.keep = there;
  call.request.make = !there;
  call.changes = true;
  return call;
}

Result<std::uint64_t> CopyTreeIn(SupervisorLink& link, const Context& context,
                                 const std::string& source, const std::string& target, bool there,
                                 NoticeBook& notices, const CallIo& io) {
  archive::Selection selection;
  selection.without = {context.state, context.cache};
  const archive::Operation operation = MakeOperation(io, "copy");
  const auto pack = [&](int to) { return archive::WriteTree(source, to, operation, selection); };
  PYRO_ASSIGN_OR_RETURN(const archive::Summary summary,
                        StreamIntoGuest(link, UnpackCall(target, there), pack, io));
  notices.Add(SeedNotices(summary, source));
  return summary.content_bytes;
}

// A tar on stdin, of any compression, into a directory that is there. All of a file is root's, as
// of other archives. Of a pipe, from another task perhaps, the owners stay.
Result<std::uint64_t> CopyTarIn(SupervisorLink& link, const std::string& target, int stdin_fd,
                                NoticeBook& notices, const CallIo& io) {
  if (stdin_fd < 0) {
    return MakeError(ErrorCode::kInvalidArgument, "'-' is a tar on stdin, and there is no stdin");
  }
  PYRO_ASSIGN_OR_RETURN(const auto there, LookInGuest(link, target, io));
  if (there != Exported::kDirectory) return FileCallError(there ? ENOTDIR : ENOENT, target);
  const archive::Operation operation = MakeOperation(io, "copy");
  const bool file = ::lseek(stdin_fd, 0, SEEK_CUR) == 0;
  const auto pack = [&](int to) {
    return file ? archive::CopyArchive(fmt::format("/proc/self/fd/{}", stdin_fd), to, operation, {},
                                       kStdin)
                : archive::CopyStream(stdin_fd, to, operation);
  };
  PYRO_ASSIGN_OR_RETURN(const archive::Summary summary,
                        StreamIntoGuest(link, UnpackCall(target, true), pack, io));
  notices.Add(SeedNotices(summary, kStdin));
  return summary.bytes;
}

// Error for a path of this host that is in the way.
Error InTheWay(ErrorCode code, const fs::path& path, std::string_view what) {
  return MakeError(code, fmt::format("'{}' on this host is {}", Printable(path.native()), what));
}

// Where a copy goes to on this host.
Result<archive::ExportTarget> ChooseHostTarget(const CopyFromTaskRequest& request,
                                               const std::string& from, Exported what) {
  const bool directory = what == Exported::kDirectory;
  fs::path path = fs::absolute(request.destination).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  std::error_code error;
  bool there = fs::is_directory(path, error);
  if (!there && fs::exists(path, error) && (directory || MeansDirectory(request.destination))) {
    return InTheWay(ErrorCode::kNotDirectory, path, "no directory");
  }
  if (!there && !directory && MeansDirectory(request.destination)) {
    return InTheWay(ErrorCode::kNotFound, path, "not there");
  }
  if (there && !(directory && MeansContent(request.path))) {
    const std::string name = fs::path(from).filename().native();
    if (!name.empty()) path /= name;
    const fs::file_status status = fs::symlink_status(path, error);
    there = fs::is_directory(status);
    if (directory && fs::exists(status) && !there) {
      return InTheWay(ErrorCode::kNotDirectory, path, "no directory");
    }
  }
  if (!directory && there) return InTheWay(ErrorCode::kIsDirectory, path, "a directory");
  archive::ExportTarget target;
  target.path = std::move(path);
  target.kind = directory ? archive::ExportKind::kDirectory : archive::ExportKind::kFile;
  target.replace = !directory;
  target.fill = directory && there;
  return target;
}

Result<Running> RunningForCopy(const Context& context, const std::string& task_id,
                               const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context, task_id));
  return EnsureReadyGuest(context, found, "nothing is copied", kFilesOnHost, io);
}

}  // namespace

Result<CopiedPath> LocalEngine::CopyIntoTask(const CopyIntoTaskRequest& request,
                                             const CallIo& caller) {
  PYRO_RETURN_IF_ERROR(CheckPath("path", request.path));
  const bool tar = request.source_path == kStdin;
  std::error_code error;
  const bool directory = !tar && fs::is_directory(request.source_path, error);
  if (!tar && !directory && !fs::exists(request.source_path, error)) {
    return MakeError(ErrorCode::kNotFound, fmt::format("there is no file or directory '{}'",
                                                       Printable(request.source_path)));
  }
  NoticeBook notices(caller);
  CallIo io = notices.Io();
  io.stdin_fd = -1;
  PYRO_ASSIGN_OR_RETURN(Running running, RunningForCopy(context_, request.task_id, io));
  SupervisorLink& link = *running.taken.link;
  CopiedPath copied;
  copied.task_id = running.taken.instance.id.str();
  copied.restart = std::move(running.restart);
  if (tar) {
    copied.path = GuestPath(request.path);
    PYRO_ASSIGN_OR_RETURN(copied.bytes, CopyTarIn(link, copied.path, caller.stdin_fd, notices, io));
    copied.notices = notices.Take();
    return copied;
  }
  copied.host_path = fs::absolute(request.source_path).lexically_normal().native();
  std::optional<Exported> there;
  PYRO_ASSIGN_OR_RETURN(copied.path, TargetInGuest(link, request, directory, there, io));
  if (directory) {
    PYRO_ASSIGN_OR_RETURN(copied.bytes, CopyTreeIn(link, context_, request.source_path, copied.path,
                                                   there == Exported::kDirectory, notices, io));
  } else {
    PYRO_ASSIGN_OR_RETURN(copied.bytes, CopyFileIn(link, request.source_path, copied.path, io));
  }
  copied.notices = notices.Take();
  return copied;
}

Result<CopiedPath> LocalEngine::CopyFromTask(const CopyFromTaskRequest& request, int out_fd,
                                             const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckPath("path", request.path));
  PYRO_ASSIGN_OR_RETURN(Running running, RunningForCopy(context_, request.task_id, io));
  SupervisorLink& link = *running.taken.link;
  CopiedPath copied;
  copied.task_id = running.taken.instance.id.str();
  copied.restart = std::move(running.restart);
  copied.path = GuestPath(request.path);
  PYRO_ASSIGN_OR_RETURN(const auto what, LookInGuest(link, copied.path, io));
  if (!what) return FileCallError(ENOENT, copied.path);
  const archive::Operation operation = MakeOperation(io, "copy");
  archive::Summary summary;
  FileCall pack = PackCall(copied.path);
  NoticeBook notices(io);
  if (out_fd >= 0) {
    // As a tar whose one entry at the top is the file or directory, unless its content is meant.
    const fs::path path(copied.path);
    if (*what == Exported::kDirectory && !MeansContent(request.path) && path.has_filename()) {
      pack.request.to = path.filename().native();
    }
    const auto receive = [&](int in) -> Status {
      PYRO_ASSIGN_OR_RETURN(summary, archive::ReceiveTo(in, out_fd, archive::ExportKind::kTar,
                                                        archive::Content::kAny, operation));
      return OkStatus();
    };
    PYRO_ASSIGN_OR_RETURN(const wire::FileEnd packed, StreamFromGuest(link, pack, receive, io));
    copied.bytes = summary.bytes;
    notices.Add(ExportNotices(summary, packed));
    copied.notices = notices.Take();
    return copied;
  }
  PYRO_ASSIGN_OR_RETURN(const archive::ExportTarget to,
                        ChooseHostTarget(request, copied.path, *what));
  PYRO_RETURN_IF_ERROR(archive::CheckTarget(to));
  std::optional<archive::Staged> staged;
  const auto receive = [&](int in) -> Status {
    auto received = archive::Receive(in, to, operation);
    if (!received) return std::move(received).error();
    staged.emplace(std::move(*received));
    return OkStatus();
  };
  PYRO_ASSIGN_OR_RETURN(const wire::FileEnd packed, StreamFromGuest(link, pack, receive, io));
  PYRO_RETURN_IF_ERROR(staged->Commit());
  summary = staged->summary();
  copied.host_path = to.path.native();
  copied.bytes = summary.content_bytes;
  notices.Add(ExportNotices(summary, packed));
  copied.notices = notices.Take();
  return copied;
}

}  // namespace pyro::engine
