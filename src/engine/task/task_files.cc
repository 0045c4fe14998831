// The calls for files of a task.

#include <chrono>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "api/rows.h"
#include "base/fields.h"
#include "base/json.h"
#include "base/time.h"
#include "base/try.h"
#include "engine/local_engine.h"
#include "engine/requests.h"
#include "engine/task/file_call.h"
#include "engine/task/running_task.h"
#include "sys/failpoint.h"
#include "wire/files.h"

namespace pyro::engine {
namespace {

using wire::FileOperation;

// Entries as the guest tells them, at most as many as were asked for.
class ListedFiles : public OutputSink {
 public:
  explicit ListedFiles(std::int64_t limit) : limit_(static_cast<std::size_t>(limit)) {}

  int WritableFd(OutputStream) override { return -1; }

  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    records_.Append(bytes);
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto record, records_.Next());
      if (!record) return bytes.size();
      if (entries_.size() == limit_) return MalformedMessage("more entries than were asked for");
      PYRO_ASSIGN_OR_RETURN(wire::FileEntry entry, wire::ReadFileEntry(*record));
      entries_.push_back(std::move(entry));
    }
  }

  Result<std::vector<wire::FileEntry>> Take() {
    if (!records_.empty()) return MalformedMessage("a part of an entry");
    return std::move(entries_);
  }

 private:
  const std::size_t limit_;
  wire::FileRecords records_;
  std::vector<wire::FileEntry> entries_;
};

// What the guest tells of a watched path, as lines of JSON.
class NewsLines : public OutputSink {
 public:
  explicit NewsLines(OutputSink& next) : next_(next) {}

  int WritableFd(OutputStream stream) override { return next_.WritableFd(stream); }

  // Takes the bytes of records once all of their lines are on their way.
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override {
    if (lines_.empty()) {
      read_ = bytes.size();
      PYRO_RETURN_IF_ERROR(Read(bytes));
    }
    while (!lines_.empty()) {
      PYRO_ASSIGN_OR_RETURN(const std::size_t taken, next_.Write(stream, lines_));
      if (taken == 0) return std::size_t{0};
      lines_.erase(0, taken);
    }
    return read_;
  }

  std::int64_t changes() const { return changes_; }

 private:
  Status Read(std::string_view bytes) {
    records_.Append(bytes);
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto record, records_.Next());
      if (!record) return OkStatus();
      PYRO_ASSIGN_OR_RETURN(const wire::FileNews news, wire::ReadFileNews(*record));
      if (news.change != FileChange::kBegan) ++changes_;
      lines_ +=
          ToJsonLine(
              {{"change", Name(news.change)}, {"path", news.path}, {"directory", news.directory}}) +
          "\n";
    }
  }

  OutputSink& next_;
  wire::FileRecords records_;
  std::string lines_;
  std::size_t read_ = 0;
  std::int64_t changes_ = 0;
};

TaskFile DescribeTaskFile(wire::FileEntry entry) {
  TaskFile file;
  file.path = std::move(entry.path);
  file.kind = entry.kind;
  file.bytes = static_cast<std::uint64_t>(entry.bytes);
  file.mode = entry.mode;
  file.uid = entry.uid;
  file.gid = entry.gid;
  const std::chrono::nanoseconds since(entry.modified_ns);
  file.modified_at = FormatTime(WallTime(std::chrono::floor<std::chrono::milliseconds>(since)));
  file.target = std::move(entry.target);
  return file;
}

Status CheckSink(const CallIo& io) {
  if (io.sink != nullptr) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument, "the call has no sink for what it reads",
                   "give it one");
}

Status CheckGuestPath(const char* name, const std::string& path) {
  if (!path.empty()) return CheckPath(name, path);
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} is empty", name),
                   "give a path in the task");
}

// A call that is checked, and the task whose guest takes it.
struct FileTask {
  Running running;
  FileCall call;
};

template <typename Request>
Result<FileTask> Prepare(const Context& context, const Request& asked, FileOperation operation,
                         const CallIo& io) {
  PYRO_RETURN_IF_ERROR(api::CheckRanges(asked));
  PYRO_RETURN_IF_ERROR(CheckGuestPath("path", asked.path));
  PYRO_RETURN_IF_ERROR(CheckUser(asked.user));
  FileCall call;
  call.request.operation = operation;
  call.request.path = asked.path;
  call.user = asked.user;
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context, asked.task_id));
  PYRO_ASSIGN_OR_RETURN(Running running, EnsureRunning(context, found, io));
  if (!running.taken.link) {
    return MakeError(ErrorCode::kWrongState, "the task runs on the host, in no guest",
                     kFilesOnHost);
  }
  return FileTask{std::move(running), std::move(call)};
}

Result<wire::FileEnd> CarryOut(FileTask& task, OutputSink* content, const CallIo& io,
                               int stdin_fd = -1) {
  CallIo own = io;
  own.stdin_fd = stdin_fd;
  return CarryOutInGuest(*task.running.taken.link, task.call, content, own);
}

Result<TaskFileInfo> InfoOf(FileTask& task, wire::FileEnd end) {
  if (!end.entry) return MalformedMessage("an operation on files without its entry");
  TaskFileInfo info{DescribeTaskFile(std::move(*end.entry)), {}, {}};
  info.task_id = task.running.taken.instance.id.str();
  info.restart = std::move(task.running.restart);
  return info;
}

// A change whose answer is what is at the path then.
Result<TaskFileInfo> Change(FileTask task, const CallIo& io) {
  task.call.changes = true;
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, CarryOut(task, nullptr, io));
  return InfoOf(task, std::move(end));
}

Result<TaskFileInfo> ToAnotherPath(const Context& context, const TaskPathsRequest& request,
                                   FileOperation operation, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckGuestPath("to", request.to));
  PYRO_ASSIGN_OR_RETURN(FileTask task, Prepare(context, request, operation, io));
  task.call.request.to = request.to;
  task.call.request.replace = request.replace;
  return Change(std::move(task), io);
}

}  // namespace

Result<TaskFileRead> LocalEngine::ReadTaskFile(const ReadTaskFileRequest& request,
                                               const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckSink(io));
  PYRO_ASSIGN_OR_RETURN(FileTask task, Prepare(context_, request, FileOperation::kRead, io));
  task.call.request.offset = request.offset;
  task.call.request.limit = request.limit;
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, CarryOut(task, io.sink, io));
  return TaskFileRead{task.running.taken.instance.id.str(), std::move(end.path),
                      static_cast<std::uint64_t>(end.bytes),
                      static_cast<std::uint64_t>(end.file_bytes), std::move(task.running.restart)};
}

Result<TaskFileInfo> LocalEngine::WriteTaskFile(const WriteTaskFileRequest& request,
                                                const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(FileTask task, Prepare(context_, request, FileOperation::kWrite, io));
  task.call.request.mode = request.mode;
  task.call.changes = true;
  PYRO_FAILPOINT("task.files.writing");
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, CarryOut(task, nullptr, io, io.stdin_fd));
  PYRO_FAILPOINT("task.files.written");
  return InfoOf(task, std::move(end));
}

Result<TaskFileInfo> LocalEngine::StatTaskFile(const TaskPathRequest& request, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(FileTask task, Prepare(context_, request, FileOperation::kStat, io));
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, CarryOut(task, nullptr, io));
  return InfoOf(task, std::move(end));
}

Result<TaskFileList> LocalEngine::ListTaskFiles(const ListTaskFilesRequest& request,
                                                const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(FileTask task, Prepare(context_, request, FileOperation::kList, io));
  task.call.request.depth = request.depth;
  task.call.request.limit = request.limit;
  ListedFiles listed(request.limit);
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, CarryOut(task, &listed, io));
  PYRO_ASSIGN_OR_RETURN(std::vector<wire::FileEntry> entries, listed.Take());
  TaskFileList list;
  list.task_id = task.running.taken.instance.id.str();
  list.path = std::move(end.path);
  list.truncated = end.truncated;
  list.restart = std::move(task.running.restart);
  for (wire::FileEntry& entry : entries) list.entries.push_back(DescribeTaskFile(std::move(entry)));
  return list;
}

Result<TaskFilesWritten> LocalEngine::WriteTaskFiles(const TaskPathRequest& request,
                                                     const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(FileTask task, Prepare(context_, request, FileOperation::kWriteMany, io));
  task.call.changes = true;
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, CarryOut(task, nullptr, io, io.stdin_fd));
  return TaskFilesWritten{task.running.taken.instance.id.str(), std::move(end.path), end.entries,
                          static_cast<std::uint64_t>(end.bytes), std::move(task.running.restart)};
}

Result<TaskFileInfo> LocalEngine::MakeTaskDirectory(const MakeTaskDirectoryRequest& request,
                                                    const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(FileTask task,
                        Prepare(context_, request, FileOperation::kMakeDirectory, io));
  task.call.request.parents = request.parents;
  return Change(std::move(task), io);
}

Result<TaskPathRemoved> LocalEngine::RemoveTaskPath(const RemoveTaskPathRequest& request,
                                                    const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(FileTask task, Prepare(context_, request, FileOperation::kRemove, io));
  task.call.request.recursive = request.recursive;
  task.call.changes = true;
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, CarryOut(task, nullptr, io));
  return TaskPathRemoved{task.running.taken.instance.id.str(), std::move(end.path), end.entries,
                         std::move(task.running.restart)};
}

Result<TaskFileInfo> LocalEngine::MoveTaskPath(const TaskPathsRequest& request, const CallIo& io) {
  return ToAnotherPath(context_, request, FileOperation::kMove, io);
}

Result<TaskFileInfo> LocalEngine::CopyTaskPath(const TaskPathsRequest& request, const CallIo& io) {
  return ToAnotherPath(context_, request, FileOperation::kCopy, io);
}

Result<TaskFilesWatched> LocalEngine::WatchTaskFiles(const WatchTaskFilesRequest& request,
                                                     const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckSink(io));
  PYRO_ASSIGN_OR_RETURN(FileTask task, Prepare(context_, request, FileOperation::kWatch, io));
  task.call.request.depth = request.depth;
  NewsLines lines(*io.sink);
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, CarryOut(task, &lines, io));
  return TaskFilesWatched{task.running.taken.instance.id.str(), std::move(end.path),
                          lines.changes(), std::move(task.running.restart)};
}

}  // namespace pyro::engine
