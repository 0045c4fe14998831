#include "state/snapshot/snapshots.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/files.h"

namespace pyro::state {
namespace fs = std::filesystem;
namespace {

constexpr int kSchema = 1;  // Of both files.
constexpr std::size_t kMaxRecordBytes = 4096;
constexpr std::size_t kMaxResetsBytes = 1 << 20;
// Names of snapshots begin with no dot.
constexpr const char* kLock = ".lock";
constexpr const char* kStaged = ".new";
constexpr const char* kRetired = ".gone";

fs::path SnapshotsOf(const fs::path& task_dir) { return task_dir / "snapshots"; }
fs::path RecordOf(const fs::path& snapshot) { return snapshot / "record.json"; }
fs::path ImageOf(const fs::path& snapshot) { return snapshot / "data.img"; }
fs::path ResetsOf(const fs::path& task_dir) { return task_dir / "resets.json"; }

Result<std::vector<std::string>> NamesOf(const fs::path& task_dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(SnapshotsOf(task_dir), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename();
    if (CheckSnapshotName(name)) names.push_back(name);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return sys::ErrnoError(error.value(), "read", SnapshotsOf(task_dir).native());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Error Broken(const fs::path& path, const Error& error) {
  return MakeError(ErrorCode::kDataLoss,
                   fmt::format("'{}' is broken: {}", path.native(), error.message));
}

Result<Json> ReadDocument(const fs::path& path, std::size_t most) {
  PYRO_ASSIGN_OR_RETURN(const std::string text, sys::ReadFile(path, most));
  auto json = ParseJson(text, most);
  if (!json) return Broken(path, json.error());
  const auto schema = GetInt(*json, "schema", kSchema, kSchema);
  if (!schema) return Broken(path, schema.error());
  return json;
}

Status SyncFile(const fs::path& path) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd file, sys::OpenRegularFile(path, O_RDONLY));
  if (::fsync(file.get()) != 0) return sys::ErrnoError(errno, "sync", path.native());
  return OkStatus();
}

Status Rename(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return OkStatus();
  return sys::ErrnoError(errno, "rename", from.native());
}

Result<std::int64_t> InodeOf(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return sys::ErrnoError(errno, "look at", path.native());
  // The same 63 bits on both sides of a comparison.
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(info.st_ino) & INT64_MAX);
}

Status WriteResets(const fs::path& task_dir, const std::vector<Reset>& resets) {
  Json list = Json::array();
  for (const Reset& one : resets) list.push_back(FieldsToJson(kResetFields, &one));
  const Json document = {{"schema", kSchema}, {"resets", std::move(list)}};
  return sys::WriteFileAtomically(ResetsOf(task_dir), ToJsonLine(document) + "\n");
}

}  // namespace

Status CheckSnapshotName(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const bool good = !name.empty() && name.size() <= kMaxSnapshotName && letter(name[0]) &&
                    std::all_of(name.begin(), name.end(), [&](char c) {
                      return letter(c) || c == '.' || c == '_' || c == '-';
                    });
  if (good) return OkStatus();
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("'{}' is no name of a snapshot", Printable(name, kMaxSnapshotName)),
      fmt::format("give 1 to {} letters, digits, '.', '_' or '-'; a letter or digit comes first",
                  kMaxSnapshotName));
}

fs::path SnapshotImage(const fs::path& task_dir, std::string_view name) {
  return ImageOf(SnapshotsOf(task_dir) / name);
}

Result<Snapshot> ReadSnapshot(const fs::path& task_dir, std::string_view name) {
  PYRO_RETURN_IF_ERROR(CheckSnapshotName(name));
  const fs::path path = RecordOf(SnapshotsOf(task_dir) / name);
  const auto json = ReadDocument(path, kMaxRecordBytes);
  if (!json && json.error().code == ErrorCode::kNotFound) {
    PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesOf(task_dir));
    return MakeError(ErrorCode::kNotFound, fmt::format("the task has no snapshot '{}'", name),
                     names.empty()
                         ? "it has none; 'pyro task snapshot create' makes one"
                         : fmt::format("name one that it has: {}", fmt::join(names, ", ")));
  }
  if (!json) return json.error();
  Snapshot snapshot;
  if (const Status read = ReadFields(kSnapshotFields, *json, &snapshot); !read) {
    return Broken(path, read.error());
  }
  snapshot.name = name;
  return snapshot;
}

Result<std::vector<Snapshot>> ListSnapshots(const fs::path& task_dir) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesOf(task_dir));
  std::vector<Snapshot> snapshots;
  for (const std::string& name : names) {
    if (auto one = ReadSnapshot(task_dir, name)) snapshots.push_back(std::move(*one));
  }
  std::stable_sort(snapshots.begin(), snapshots.end(), [](const Snapshot& a, const Snapshot& b) {
    return a.created_at < b.created_at;
  });
  return snapshots;
}

Result<std::vector<Reset>> ReadResets(const fs::path& task_dir) {
  std::vector<Reset> resets;
  const fs::path path = ResetsOf(task_dir);
  const auto json = ReadDocument(path, kMaxResetsBytes);
  if (!json && json.error().code == ErrorCode::kNotFound) return resets;
  if (!json) return json.error();
  const auto list = json->find("resets");
  if (list == json->end() || !list->is_array()) {
    return Broken(path, MakeError(ErrorCode::kDataLoss, "no list"));
  }
  for (const Json& one : *list) {
    Reset& reset = resets.emplace_back();
    if (const Status read = ReadFields(kResetFields, one, &reset); !read) {
      return Broken(path, read.error());
    }
  }
  // It was interrupted: the disk says whether it came so far.
  if (!resets.empty() && resets.back().inode != 0) {
    const auto inode = InodeOf(task_dir / "data.img");
    if (inode && *inode == resets.back().inode) {
      resets.back().inode = 0;
    } else {
      resets.pop_back();
    }
  }
  return resets;
}

Result<SnapshotChanges> SnapshotChanges::Begin(fs::path task_dir, Deadline deadline) {
  const fs::path snapshots = SnapshotsOf(task_dir);
  // Not its parents: a task that is removed meanwhile does not come back.
  if (::mkdir(snapshots.c_str(), 0700) != 0 && errno != EEXIST) {
    return sys::ErrnoError(errno, "create directory", snapshots.native());
  }
  PYRO_ASSIGN_OR_RETURN(sys::FileLock lock, sys::FileLock::Acquire(snapshots / kLock, deadline));
  SnapshotChanges changes(std::move(task_dir), std::move(lock));
  PYRO_RETURN_IF_ERROR(sys::RemoveTree(snapshots / kRetired));
  PYRO_RETURN_IF_ERROR(sys::RemoveTree(snapshots / kStaged));
  return changes;
}

Status SnapshotChanges::CheckNew(std::string_view name) const {
  PYRO_RETURN_IF_ERROR(CheckSnapshotName(name));
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesOf(task_dir_));
  if (std::find(names.begin(), names.end(), name) != names.end()) {
    return MakeError(ErrorCode::kAlreadyExists,
                     fmt::format("the task has a snapshot '{}' already", name),
                     "take another name, or delete it with 'pyro task snapshot delete'");
  }
  if (names.size() < kMaxSnapshots) return OkStatus();
  return MakeError(ErrorCode::kLimit,
                   fmt::format("the task has {} snapshots already", names.size()),
                   "delete one with 'pyro task snapshot delete'");
}

Result<fs::path> SnapshotChanges::Stage() {
  const fs::path staged = SnapshotsOf(task_dir_) / kStaged;
  if (::mkdir(staged.c_str(), 0700) != 0) {
    return sys::ErrnoError(errno, "create directory", staged.native());
  }
  PYRO_FAILPOINT("task.snapshot.staged");
  return ImageOf(staged);
}

Status SnapshotChanges::Keep(const Snapshot& snapshot) {
  PYRO_RETURN_IF_ERROR(CheckNew(snapshot.name));
  const fs::path staged = SnapshotsOf(task_dir_) / kStaged;
  PYRO_RETURN_IF_ERROR(SyncFile(ImageOf(staged)));
  Json record = FieldsToJson(kSnapshotFields, &snapshot);
  record["schema"] = kSchema;
  PYRO_RETURN_IF_ERROR(sys::WriteFileAtomically(RecordOf(staged), ToJsonLine(record) + "\n"));
  PYRO_FAILPOINT("task.snapshot.recorded");
  PYRO_RETURN_IF_ERROR(Rename(staged, SnapshotsOf(task_dir_) / snapshot.name));
  PYRO_FAILPOINT("task.snapshot.named");
  PYRO_RETURN_IF_ERROR(sys::SyncDirectory(SnapshotsOf(task_dir_)));
  return sys::SyncDirectory(task_dir_);
}

Status SnapshotChanges::Use(Reset reset) {
  const fs::path staged = ImageOf(SnapshotsOf(task_dir_) / kStaged);
  PYRO_RETURN_IF_ERROR(SyncFile(staged));
  PYRO_ASSIGN_OR_RETURN(std::vector<Reset> resets, ReadResets(task_dir_));
  if (resets.size() >= kMaxResets) resets.erase(resets.begin());
  PYRO_ASSIGN_OR_RETURN(reset.inode, InodeOf(staged));
  resets.push_back(std::move(reset));
  PYRO_RETURN_IF_ERROR(WriteResets(task_dir_, resets));
  PYRO_FAILPOINT("task.reset.announced");
  PYRO_RETURN_IF_ERROR(Rename(staged, task_dir_ / "data.img"));
  PYRO_FAILPOINT("task.reset.replaced");
  PYRO_RETURN_IF_ERROR(sys::SyncDirectory(task_dir_));
  // A copy of the directory has other inodes.
  resets.back().inode = 0;
  PYRO_RETURN_IF_ERROR(WriteResets(task_dir_, resets));
  PYRO_FAILPOINT("task.reset.recorded");
  DropStaged();
  return OkStatus();
}

Status SnapshotChanges::Remove(std::string_view name) {
  const auto snapshot = ReadSnapshot(task_dir_, name);
  // One whose record is broken can be removed, too.
  if (!snapshot && snapshot.error().code != ErrorCode::kDataLoss) return snapshot.error();
  const fs::path gone = SnapshotsOf(task_dir_) / kRetired;
  PYRO_RETURN_IF_ERROR(Rename(SnapshotsOf(task_dir_) / name, gone));
  PYRO_FAILPOINT("task.snapshot.retired");
  PYRO_RETURN_IF_ERROR(sys::SyncDirectory(SnapshotsOf(task_dir_)));
  PYRO_RETURN_IF_ERROR(sys::RemoveTree(gone));
  PYRO_FAILPOINT("task.snapshot.removed");
  return OkStatus();
}

void SnapshotChanges::DropStaged() { (void)sys::RemoveTree(SnapshotsOf(task_dir_) / kStaged); }

}  // namespace pyro::state
