#include "agent/change_log.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "agent/console.h"
#include "agent/file_work.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/files.h"

namespace pyro::agent {
namespace {

constexpr const char* kNotes = "changes";  // On the data disk.
constexpr std::string_view kFinished = ".done";
constexpr std::string_view kHead = "pyro-change-1";
constexpr std::string_view kEnd = "end";
constexpr std::size_t kMaxNoteBytes = std::size_t{256} << 20;
constexpr long kOverlay = 0x794c7630;  // OVERLAYFS_SUPER_MAGIC

constexpr int kOpenNotes = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string SlotName(std::size_t slot) { return fmt::format("{}", slot); }

bool Move(int from, const std::string& name, int to, const std::string& new_name, unsigned flags) {
  return ::renameat2(from, name.c_str(), to, new_name.c_str(), flags) == 0;
}

bool IsSame(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// `moved`: by a step, which changes its ctime; and where a file of an image is copied for that, an
// overlay gives it another inode.
bool IsUnchanged(const struct stat& was, const struct stat& is, bool moved, bool overlay) {
  return was.st_mode == is.st_mode && was.st_uid == is.st_uid && was.st_gid == is.st_gid &&
         (S_ISDIR(is.st_mode) || (was.st_size == is.st_size && IsSame(was.st_mtim, is.st_mtim))) &&
         ((moved && overlay) || was.st_ino == is.st_ino) &&
         (moved || S_ISDIR(is.st_mode) || IsSame(was.st_ctim, is.st_ctim));
}

bool IsOverlay(int directory) {
  struct statfs info {};
  return ::fstatfs(directory, &info) == 0 && info.f_type == kOverlay;
}

// Directories, and nothing else, are below it.
Status HoldsDirectoriesAlone(int directory, const std::string& name, const std::string& path) {
  const sys::UniqueFd below(::openat(directory, name.c_str(), kOpenNotes));
  if (!below.valid()) return FileErrno(path);
  PYRO_ASSIGN_OR_RETURN(const NamesIn in, ReadNames(below.get(), -1, path));
  for (const std::string& one : in.names) {
    const auto info = StatAt(below.get(), one);
    if (!info || !S_ISDIR(info->st_mode)) return FileError(ENOTEMPTY, path);
    PYRO_RETURN_IF_ERROR(HoldsDirectoriesAlone(below.get(), one, path));
  }
  return OkStatus();
}

// By what is in its slot.
bool WasTaken(const ChangeStep& step, const std::optional<struct stat>& in_slot) {
  switch (step.kind) {
    case ChangeKind::kReplace:
      return in_slot && in_slot->st_ino != step.inode;
    case ChangeKind::kRemove:
      return in_slot.has_value();
    default:
      return !in_slot;
  }
}

// False: it was taken and stays so.
bool UndoStep(const ChangePlace& place, const ChangeStep& step) {
  const int staging = place.staging.get();
  const std::string slot = SlotName(step.slot);
  if (!WasTaken(step, StatAt(staging, slot))) return true;
  const auto [directory, name] = ParentAndName(step.path);
  const sys::UniqueFd parent = OpenUnder(place.root.get(), directory, O_PATH | O_DIRECTORY);
  if (!parent.valid()) return false;
  const auto at_path = StatAt(parent.get(), name);
  const bool ours = at_path && at_path->st_ino == step.inode;
  switch (step.kind) {
    case ChangeKind::kReplace:
      return !ours || Move(parent.get(), name, staging, slot, RENAME_EXCHANGE);
    case ChangeKind::kCreate:
      return !ours || Move(parent.get(), name, staging, slot, RENAME_NOREPLACE);
    case ChangeKind::kMakeDirectory:
      ::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR);
      return true;
    case ChangeKind::kRemove:
      return Move(staging, slot, parent.get(), name, RENAME_NOREPLACE) || errno == EEXIST;
  }
  return true;
}

// What a note says, as far as it was written.
struct Note {
  std::string root;
  std::string staging;
  bool removes_emptied = false;
  bool whole = false;  // Without that no step was taken.
  std::vector<ChangeStep> steps;
};

// nullopt: nothing was staged.
std::optional<Note> ReadNote(const std::string& text) {
  std::vector<std::string_view> parts = Split(text, '\0');
  parts.pop_back();  // What follows the last NUL.
  if (parts.size() < 4 || parts[0] != kHead || !parts[1].starts_with('/') ||
      !IsHiddenName(parts[2]))
    return std::nullopt;
  Note note = {std::string(parts[1]), std::string(parts[2]), parts[3] == "1"};
  for (std::size_t i = 4; i + 1 < parts.size(); i += 2) {
    const std::size_t space = parts[i].find(' ');
    if (space == std::string_view::npos || space < 2 || parts[i + 1].empty()) return note;
    const auto slot = ParseInt(parts[i].substr(1, space - 1));
    const auto inode = ParseInt(parts[i].substr(space + 1));
    if (!slot || !inode || *slot < 0) return note;
    const auto kind = static_cast<ChangeKind>(parts[i][0]);
    note.steps.push_back({kind, static_cast<std::size_t>(*slot), std::string(parts[i + 1]),
                          static_cast<std::uint64_t>(*inode)});
  }
  note.whole = parts.size() % 2 == 1 && parts.back() == kEnd;
  return note;
}

std::optional<Error> Recover(int notes, const std::string& name) {
  const sys::UniqueFd file(::openat(notes, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid() || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return std::nullopt;
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || info.st_nlink == 0) return std::nullopt;
  const auto text = sys::ReadAll(file.get(), kMaxNoteBytes);
  const std::optional<Note> note = text ? ReadNote(*text) : std::nullopt;
  std::optional<Error> error;
  if (note) {
    ChangePlace place;
    const sys::UniqueFd slash(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    place.root = OpenUnder(slash.get(), note->root.substr(1), O_PATH | O_DIRECTORY);
    place.name = note->staging;
    place.staging = OpenUnder(place.root.get(), note->staging, O_RDONLY | O_DIRECTORY);
    const bool finished = name.ends_with(kFinished);
    std::vector<LeftStep> left;
    if (place.staging.valid() && note->whole && !finished) left = UndoSteps(place, note->steps);
    if (!left.empty()) error = NotUndone(note->root, note->staging, left);
    if (place.root.valid() && finished && note->removes_emptied) RemoveEmptied(place, note->steps);
    if (place.staging.valid() && !HoldsOld(left)) RemoveStaging(place);
  }
  // Once the undone state is on disk: what is left of it needs the note.
  if (::syncfs(file.get()) == 0) ::unlinkat(notes, name.c_str(), 0);
  return error;
}

}  // namespace

sys::UniqueFd OpenUnder(int directory, const std::string& path, int flags) {
  open_how how = {};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const char* const name = path.empty() ? "." : path.c_str();
  return sys::UniqueFd(static_cast<int>(::syscall(SYS_openat2, directory, name, &how, sizeof how)));
}

std::pair<std::string, std::string> ParentAndName(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::optional<struct stat> StatAt(int directory, const std::string& name) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  return info;
}

Status TakeStep(const ChangePlace& place, const ChangeStep& step,
                const std::optional<struct stat>& expected) {
  const auto [directory, name] = ParentAndName(step.path);
  const sys::UniqueFd parent = OpenUnder(place.root.get(), directory, O_PATH | O_DIRECTORY);
  if (!parent.valid()) return FileErrno(step.path);
  const int staging = place.staging.get();
  const std::string slot = SlotName(step.slot);
  const bool overlay = IsOverlay(staging);
  if (step.kind == ChangeKind::kCreate || step.kind == ChangeKind::kMakeDirectory) {
    if (Move(staging, slot, parent.get(), name, RENAME_NOREPLACE)) return OkStatus();
    return FileErrno(step.path);
  }
  const auto is = StatAt(parent.get(), name);
  if (!is || !expected || !IsUnchanged(*expected, *is, false, overlay)) {
    return FileError(ESTALE, step.path);
  }
  // In this order: then the last that a watcher of the directory hears is that the file came.
  const unsigned flags = step.kind == ChangeKind::kReplace ? RENAME_EXCHANGE : RENAME_NOREPLACE;
  if (!Move(parent.get(), name, staging, slot, flags)) return FileErrno(step.path);
  const auto was = StatAt(staging, slot);
  if (!was || !IsUnchanged(*expected, *was, true, overlay)) return FileError(ESTALE, step.path);
  if (!S_ISDIR(was->st_mode)) return OkStatus();
  return HoldsDirectoriesAlone(staging, slot, step.path);
}

std::vector<LeftStep> UndoSteps(const ChangePlace& place, const std::vector<ChangeStep>& steps) {
  std::vector<LeftStep> left;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (UndoStep(place, *step)) continue;
    const bool old = step->kind == ChangeKind::kReplace || step->kind == ChangeKind::kRemove;
    left.push_back({step->path, step->slot, old});
  }
  return left;
}

bool HoldsOld(const std::vector<LeftStep>& left) {
  return std::any_of(left.begin(), left.end(), [](const LeftStep& one) { return one.holds_old; });
}

Error NotUndone(const std::string& root, const std::string& staging,
                const std::vector<LeftStep>& left) {
  const std::string top = root == "/" ? "" : root;
  const auto old =
      std::find_if(left.begin(), left.end(), [](const LeftStep& one) { return one.holds_old; });
  const LeftStep& first = old == left.end() ? left.front() : *old;
  const std::string path = top + "/" + first.path;
  Error error = MakeError(
      ErrorCode::kConflict,
      fmt::format("another program moved the directory of '{}' away while a patch was undone, so a "
                  "part of the patch may be there{}",
                  Printable(path),
                  left.size() == 1 ? "" : fmt::format(", of {} files together", left.size())));
  if (old != left.end()) {
    error.message +=
        fmt::format("; its old content is '{}/{}/{}'", Printable(top), staging, first.slot);
    error.hint = wire::patch_hint::kPutBack;
  }
  error.path = path;
  return error;
}

void RemoveStaging(const ChangePlace& place) {
  std::int64_t removed = 0;
  (void)RemoveTree(place.root.get(), place.name, place.name, 0, removed);
}

void RemoveEmptied(const ChangePlace& place, const std::vector<ChangeStep>& steps) {
  for (const ChangeStep& step : steps) {
    if (step.kind != ChangeKind::kRemove) continue;
    for (auto path = ParentAndName(step.path).first; !path.empty();
         path = ParentAndName(path).first) {
      const auto [directory, name] = ParentAndName(path);
      const sys::UniqueFd parent = OpenUnder(place.root.get(), directory, O_PATH | O_DIRECTORY);
      if (!parent.valid()) continue;
      if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) break;
    }
  }
}

Result<ChangeLog> ChangeLog::Begin(int data, const std::string& root, const std::string& staging,
                                   bool removes_emptied) {
  if (::mkdirat(data, kNotes, 0700) != 0 && errno != EEXIST) return FileErrno(root);
  sys::UniqueFd notes(::openat(data, kNotes, kOpenNotes));
  if (!notes.valid()) return FileErrno(root);
  while (true) {
    std::string name = HiddenName();
    sys::UniqueFd file(
        ::openat(notes.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file.valid() || ::flock(file.get(), LOCK_EX) != 0) return FileErrno(root);
    struct stat info {};
    if (::fstat(file.get(), &info) != 0) return FileErrno(root);
    if (info.st_nlink == 0) continue;  // One that cleans up was quicker than the lock.
    std::string head(kHead);
    for (const std::string_view part : {std::string_view(root), std::string_view(staging),
                                        std::string_view(removes_emptied ? "1" : "0")}) {
      head += '\0';
      head += part;
    }
    head += '\0';
    ChangeLog log(std::move(notes), std::move(file), std::move(name));
    const auto written = sys::WriteAll(log.file_.get(), head);
    if (!written) return FileError(written.error().sys_errno, root);
    if (::fsync(log.file_.get()) != 0) return FileErrno(root);
    return log;
  }
}

Status ChangeLog::Write(const std::vector<ChangeStep>& steps) {
  std::string text;
  for (const ChangeStep& step : steps) {
    text += fmt::format("{}{} {}", static_cast<char>(step.kind), step.slot, step.inode);
    text += '\0';
    text += step.path;
    text += '\0';
  }
  text += kEnd;
  text += '\0';
  const auto written = sys::WriteAll(file_.get(), text);
  if (!written) return FileError(written.error().sys_errno, ".");
  return ::fsync(file_.get()) == 0 ? OkStatus() : Status(FileErrno("."));
}

Status ChangeLog::Finish() {
  const std::string finished = name_ + std::string(kFinished);
  if (!Move(directory_.get(), name_, directory_.get(), finished, RENAME_NOREPLACE)) {
    return FileErrno(".");
  }
  name_ = finished;
  return OkStatus();
}

void ChangeLog::Remove() { ::unlinkat(directory_.get(), name_.c_str(), 0); }

std::optional<Error> RecoverChanges(int data) {
  const sys::UniqueFd notes(::openat(data, kNotes, kOpenNotes));
  if (!notes.valid()) return std::nullopt;  // There never was a change.
  const auto in = ReadNames(notes.get(), -1, kNotes);
  if (!in) return MakeError(ErrorCode::kDataLoss, "the notes of changes cannot be read");
  std::optional<Error> first;
  for (const std::string& name : in->names) {
    auto error = Recover(notes.get(), name);
    if (error && !first) first = std::move(error);
  }
  return first;
}

void RecoverChangesOfDead(int data) {
  const auto error = RecoverChanges(data);
  if (error)
    ConsoleLine(error->hint.empty() ? error->message : error->message + "; " + error->hint);
}

}  // namespace pyro::agent
