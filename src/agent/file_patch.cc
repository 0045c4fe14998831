// A unified diff that is applied to the files of a directory: whole, or not at all.

#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "agent/change_set.h"
#include "agent/file_work.h"
#include "base/text.h"
#include "base/try.h"
#include "base/unified_diff.h"
#include "sys/files.h"

namespace pyro::agent {
namespace {

constexpr std::size_t kMaxPatchedBytes = std::size_t{64} << 20;
// Of all files that are read and written together: they are in memory.
constexpr std::size_t kMaxPatchMemory = std::size_t{256} << 20;
constexpr std::int64_t kLinkMode = 0120000;

// What is at a path, or will be.
struct Content {
  bool link = false;
  mode_t mode = 0;    // The permissions of a file.
  std::string bytes;  // Or where the link leads.
};

Error Mismatch(const std::string& path, std::string what, std::string_view hint = {}) {
  Error error =
      MakeError(ErrorCode::kConflict, fmt::format("'{}' {}", Printable(path), std::move(what)),
                std::string(hint));
  error.path = path;
  return error;
}

class Patcher {
 public:
  Patcher(ChangeSet& set, const ParsedDiff& diff) : set_(set), diff_(diff) {
    for (const FileDiff& file : diff.files) {
      if (file.kind == DiffKind::kRemoved || file.kind == DiffKind::kRenamed) {
        leaving_.insert(file.old_path);
      }
    }
  }

  // The files as they will be.
  Result<std::vector<wire::FilePatched>> Work() {
    std::vector<wire::FilePatched> told;
    for (const FileDiff& file : diff_.files) {
      PYRO_ASSIGN_OR_RETURN(wire::FilePatched one, WorkOn(file));
      told.push_back(std::move(one));
    }
    return told;
  }

  Status Commit() {
    for (const auto& [path, content] : now_) PYRO_RETURN_IF_ERROR(Put(path, content));
    return set_.Commit();
  }

 private:
  Status Put(const std::string& path, const std::optional<Content>& content) {
    PYRO_ASSIGN_OR_RETURN(const auto before, Original(path));
    if (!content) return before ? set_.Remove(path) : OkStatus();
    if (before && before->link == content->link && before->bytes == content->bytes &&
        (content->link || before->mode == content->mode)) {
      return OkStatus();
    }
    if (content->link) return set_.PutLink(path, content->bytes);
    return set_.PutFile(path, content->mode, [&](int to) -> Status {
      const auto written = sys::WriteAll(to, content->bytes);
      return written ? OkStatus() : Status(FileError(written.error().sys_errno, path));
    });
  }

  // What was there before the patch; a directory counts as nothing.
  Result<std::optional<Content>> Original(const std::string& path) {
    if (const auto known = original_.find(path); known != original_.end()) return known->second;
    PYRO_ASSIGN_OR_RETURN(const auto found, set_.Look(path));
    std::optional<Content> content;
    if (found && !S_ISDIR(found->st_mode)) {
      content.emplace();
      content->link = S_ISLNK(found->st_mode);
      content->mode = found->st_mode & 07777;
      PYRO_ASSIGN_OR_RETURN(content->bytes, set_.Read(path, kMaxPatchedBytes));
      PYRO_RETURN_IF_ERROR(Count(path, content->bytes));
    }
    return original_[path] = std::move(content);
  }

  Status Count(const std::string& path, const std::string& bytes) {
    memory_ += bytes.size();
    if (memory_ <= kMaxPatchMemory) return OkStatus();
    Error error = MakeError(ErrorCode::kLimit,
                            fmt::format("the files of the patch are larger than {} together",
                                        FormatBytes(kMaxPatchMemory)),
                            std::string(wire::patch_hint::kInParts));
    error.path = path;
    return error;
  }

  Result<std::optional<Content>> Current(const std::string& path) {
    if (const auto changed = now_.find(path); changed != now_.end()) return changed->second;
    return Original(path);
  }

  // The old side. Renames and copies of one patch do not see each other: names can be swapped.
  Result<Content> Before(const FileDiff& file) {
    const bool moves = file.kind == DiffKind::kRenamed || file.kind == DiffKind::kCopied;
    std::optional<Content> content;
    if (moves) {
      PYRO_ASSIGN_OR_RETURN(content, Original(file.old_path));
    }
    if (!content) {
      PYRO_ASSIGN_OR_RETURN(content, Current(file.old_path));
    }
    if (!content) {
      PYRO_ASSIGN_OR_RETURN(const auto found, set_.Look(file.old_path));
      if (found && S_ISDIR(found->st_mode)) return Mismatch(file.old_path, "is a directory");
      return Mismatch(file.old_path, "is not there", wire::patch_hint::kNames);
    }
    // A rename without a change says nothing of what it moves.
    const bool told = file.old_mode != 0 || !file.hunks.empty();
    if (told && content->link != (file.old_mode == kLinkMode)) {
      return Mismatch(file.old_path, content->link ? "is a symbolic link, and the patch has a file"
                                                   : "is no symbolic link, and the patch has one");
    }
    return std::move(*content);
  }

  // Something that will not be gone is where a new file is to be.
  Status CheckRoom(const FileDiff& file) {
    const std::string& path = file.new_path;
    PYRO_ASSIGN_OR_RETURN(const auto current, Current(path));
    if (current && (now_.contains(path) || !leaving_.contains(path))) {
      return Mismatch(path, "is there already, and the patch makes it");
    }
    PYRO_ASSIGN_OR_RETURN(const auto found, set_.Look(path));
    if (!found || !S_ISDIR(found->st_mode)) return OkStatus();
    const auto below = leaving_.lower_bound(path + "/");
    if (below != leaving_.end() && below->starts_with(path + "/")) return OkStatus();
    return Mismatch(path, "is a directory, and the patch makes a file of that name");
  }

  static mode_t ModeAfter(const FileDiff& file, mode_t before) {
    if (file.new_mode == 0 || file.new_mode == file.old_mode) return before;
    return (file.new_mode & 0100) != 0 ? before | (before & 0444) >> 2 : before & ~mode_t{0111};
  }

  Result<wire::FilePatched> WorkOn(const FileDiff& file) {
    Content content;
    content.mode = (file.new_mode & 0100) != 0 ? 0755 : 0644;
    if (file.kind != DiffKind::kAdded) {
      PYRO_ASSIGN_OR_RETURN(content, Before(file));
      content.mode = ModeAfter(file, content.mode);
    }
    if (file.kind != DiffKind::kModified && file.kind != DiffKind::kRemoved) {
      PYRO_RETURN_IF_ERROR(CheckRoom(file));
    }
    PYRO_ASSIGN_OR_RETURN(AppliedDiff applied, ApplyDiff(file, content.bytes));
    content.bytes = std::move(applied.content);
    PYRO_RETURN_IF_ERROR(Count(file.new_path, content.bytes));
    if (file.new_mode != 0) content.link = file.new_mode == kLinkMode;
    if (file.kind == DiffKind::kRemoved && !content.bytes.empty()) {
      return Mismatch(file.old_path, "has more than the patch removes");
    }
    if (file.kind != DiffKind::kRemoved && content.link &&
        (content.bytes.empty() || content.bytes.find('\0') != std::string::npos)) {
      return Mismatch(file.new_path, "would be a symbolic link to nothing");
    }
    wire::FilePatched told;
    told.path = file.new_path;
    for (const DiffOffset& offset : applied.offsets) {
      if (told.offsets.size() == wire::kMaxOffsets) break;
      told.offsets.push_back({offset.hunk, offset.lines});
    }
    Set(file, std::move(content));
    return told;
  }

  void Set(const FileDiff& file, Content content) {
    const bool leaves = file.kind == DiffKind::kRemoved || file.kind == DiffKind::kRenamed;
    // A name that another file of the patch has taken meanwhile is that file's.
    if (leaves && (file.kind == DiffKind::kRemoved || !taken_.contains(file.old_path))) {
      now_[file.old_path] = std::nullopt;
      taken_.erase(file.old_path);
    }
    if (file.kind == DiffKind::kRemoved) return;
    now_[file.new_path] = std::move(content);
    if (file.kind != DiffKind::kModified) taken_.insert(file.new_path);
  }

  ChangeSet& set_;
  const ParsedDiff& diff_;
  std::set<std::string> leaving_;  // Names that the patch takes away.
  std::set<std::string> taken_;    // Names that it has given.
  std::map<std::string, std::optional<Content>> original_;
  std::map<std::string, std::optional<Content>> now_;
  std::size_t memory_ = 0;
};

Result<wire::FileEnd> Patch(const wire::FileRequest& request, const FileStreams& streams,
                            std::string text) {
  PYRO_ASSIGN_OR_RETURN(const ParsedDiff diff,
                        ParseDiff(text, {.strip = request.strip, .reverse = request.reverse}));
  auto set = ChangeSet::Begin(request.path, streams.data, {.removes_emptied = true});
  if (!set && !set.error().message.empty()) return std::move(set).error();  // Of an earlier change.
  if (!set) return FileError(set.error().sys_errno, "");  // Of the directory itself.
  Patcher patcher(*set, diff);
  PYRO_ASSIGN_OR_RETURN(const auto files, patcher.Work());
  if (!request.check) PYRO_RETURN_IF_ERROR(patcher.Commit());
  std::string records;
  for (const wire::FilePatched& file : files) records += wire::FileRecord(file);
  const auto told = sys::WriteAll(streams.out, records);
  if (!told) return FileError(told.error().sys_errno, request.path);
  wire::FileEnd end;
  end.entries = static_cast<std::int64_t>(files.size());
  return end;
}

// What an errno means of a patch.
Error Tell(Error error, const std::string& directory) {
  if (error.path.empty()) {
    error.path = directory;
  } else if (!error.path.starts_with('/')) {
    error.path = directory + "/" + error.path;
  }
  const auto say = [&](ErrorCode code, std::string_view what, std::string_view hint) {
    error.code = code;
    error.message = fmt::format("'{}' {}", Printable(error.path), what);
    error.hint = hint;
  };
  switch (error.sys_errno) {
    case ESTALE:
      say(ErrorCode::kConflict, "was changed by another program while the patch was applied",
          wire::patch_hint::kApplyAgain);
      break;
    case ENOTEMPTY:
      say(ErrorCode::kConflict, "is in the way, and has files that the patch does not remove", "");
      break;
    case ELOOP:
      say(ErrorCode::kInvalidArgument, "is behind a symbolic link, and no patch follows one",
          wire::patch_hint::kBehindLink);
      break;
    case EXDEV:
      say(ErrorCode::kInvalidArgument, "is on another file system than the patch's directory",
          wire::patch_hint::kApplyThere);
      break;
    case EFBIG:
      say(ErrorCode::kLimit, fmt::format("is larger than {}", FormatBytes(kMaxPatchedBytes)), "");
      break;
    default:
      break;
  }
  return error;
}

}  // namespace

Result<wire::FileEnd> PatchOperation(const wire::FileRequest& request, const FileStreams& streams) {
  if (streams.data < 0) return FileError(ENOSYS, request.path);
  auto text = sys::ReadAll(streams.in, kMaxDiffBytes);
  if (!text) return FileError(text.error().sys_errno, request.path);
  if (!text->ends_with('\n')) *text += '\n';
  auto done = Patch(request, streams, std::move(*text));
  if (done) return done;
  return Tell(std::move(done).error(), request.path);
}

}  // namespace pyro::agent
