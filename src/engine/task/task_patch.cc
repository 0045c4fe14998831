// A unified diff for the files of a task, which the agent of its guest applies.

#include <unistd.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "api/rows.h"
#include "base/fields.h"
#include "base/text.h"
#include "base/try.h"
#include "base/unified_diff.h"
#include "engine/local_engine.h"
#include "engine/requests.h"
#include "engine/task/file_call.h"
#include "engine/task/running_task.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/wait_for.h"
#include "wire/files.h"

namespace pyro::engine {
namespace {

// The files of the patch, each once the guest has told of it. Only where hunks were found is taken
// from the guest; what the patch itself says is not for it to say.
class PatchedFiles : public OutputSink {
 public:
  explicit PatchedFiles(const ParsedDiff& diff) : diff_(diff) {}

  int WritableFd(OutputStream) override { return -1; }

  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    records_.Append(bytes);
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto record, records_.Next());
      if (!record) return bytes.size();
      PYRO_ASSIGN_OR_RETURN(const wire::FilePatched told, wire::ReadFilePatched(*record));
      PYRO_RETURN_IF_ERROR(Add(told));
    }
  }

  Result<TaskPatch> Take() {
    if (!records_.empty() || patch_.files.size() != diff_.files.size()) return Other();
    return std::move(patch_);
  }

 private:
  static Error Other() { return MalformedMessage("other files than the patch has"); }

  Status Add(const wire::FilePatched& told) {
    if (patch_.files.size() == diff_.files.size()) return Other();
    const FileDiff& said = diff_.files[patch_.files.size()];
    if (told.path != said.new_path) return Other();
    PatchedFile file;
    file.path = said.new_path;
    if (said.kind == DiffKind::kRenamed || said.kind == DiffKind::kCopied) {
      file.old_path = said.old_path;
    }
    file.kind = Name(said.kind);
    file.hunks = static_cast<std::int64_t>(said.hunks.size());
    for (const wire::FileOffset& offset : told.offsets) {
      if (offset.hunk > file.hunks) return Other();
      file.offsets.push_back({offset.hunk, offset.lines});
    }
    file.added_lines = said.added;
    file.removed_lines = said.removed;
    patch_.added_lines += said.added;
    patch_.removed_lines += said.removed;
    patch_.files.push_back(std::move(file));
    return OkStatus();
  }

  const ParsedDiff& diff_;
  wire::FileRecords records_;
  TaskPatch patch_;
};

Result<std::string> ReadPatch(const CallIo& io) {
  std::string text;
  std::string piece(256 * 1024, '\0');
  while (io.stdin_fd >= 0) {
    if (sys::WaitFor(io.stdin_fd, POLLIN, Deadline::Never(), io.cancel_fd) ==
        sys::Waited::kCancelled) {
      return MakeError(ErrorCode::kCancelled, "cancelled");
    }
    const ssize_t n = ::read(io.stdin_fd, piece.data(), piece.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return sys::ErrnoError(errno, "read the patch");
    if (n == 0) break;
    text.append(piece, 0, static_cast<std::size_t>(n));
    if (text.size() > kMaxDiffBytes) break;  // Its parser says so.
  }
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

// As a caller of the task knows it.
std::string PathIn(const std::string& directory, const std::string& path) {
  const std::string below = directory + "/" + path;
  return directory.starts_with('/') ? below : fmt::format("{}/{}", kWorkspace, below);
}

}  // namespace

Result<TaskPatch> LocalEngine::PatchTask(const PatchTaskRequest& request, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(api::CheckRanges(request));
  if (request.directory.empty()) {
    return MakeError(ErrorCode::kInvalidArgument, "directory is empty",
                     "give a directory of the task");
  }
  PYRO_RETURN_IF_ERROR(CheckPath("directory", request.directory));
  PYRO_ASSIGN_OR_RETURN(const std::string text, ReadPatch(io));
  // Here too: no guest is started for what cannot be applied, and its answer is known to be whole.
  auto parsed = ParseDiff(text, {.strip = request.strip, .reverse = request.reverse});
  if (!parsed) {
    Error error = std::move(parsed).error();
    if (!error.path.empty()) error.path = PathIn(request.directory, error.path);
    return error;
  }
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, request.task_id));
  PYRO_ASSIGN_OR_RETURN(
      Running running,
      EnsureReadyGuest(context_, found, "no patch is applied there", kFilesOnHost, io));
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd file, sys::MakeMemoryFile(text));
  FileCall call;
  call.request.operation = wire::FileOperation::kPatch;
  call.request.path = request.directory;
  call.request.strip = request.strip;
  call.request.reverse = request.reverse;
  call.request.check = request.check;
  call.changes = true;
  CallIo own = io;
  own.stdin_fd = file.get();
  PatchedFiles files(*parsed);
  PYRO_FAILPOINT("task.patch.sending");
  PYRO_ASSIGN_OR_RETURN(wire::FileEnd end, CarryOutInGuest(*running.taken.link, call, &files, own));
  PYRO_FAILPOINT("task.patch.applied");
  PYRO_ASSIGN_OR_RETURN(TaskPatch patch, files.Take());
  patch.task_id = running.taken.instance.id.str();
  patch.path = std::move(end.path);
  patch.checked = request.check;
  patch.restart = std::move(running.restart);
  patch.notices = std::move(parsed->notices);
  return patch;
}

}  // namespace pyro::engine
