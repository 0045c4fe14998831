// tasks/<id>/snapshots: copies of the task's disk, and the record of its resets.
// docs/REGISTRY.md lists the files.
//
// A snapshot is a directory with the task's disk and a record. It appears, and disappears, by one
// rename. So after a kill at any moment it is whole, or it is not there.

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "base/time.h"
#include "pyro/result.h"
#include "state/journal/journal_line.h"
#include "sys/file_lock.h"

namespace pyro::state {

inline constexpr std::size_t kMaxSnapshots = 64;              // Of a task.
inline constexpr std::size_t kMaxSnapshotName = 64;           // Bytes.
inline constexpr std::size_t kMaxResets = 1000;               // Later ones displace the first.
inline constexpr std::string_view kFirstSnapshot = "create";  // The state at the task's creation.

struct Snapshot {
  std::string name;
  WallTime created_at{};
  std::int64_t sequence = 0;  // Of the last command that began before; 0: none.
};

inline constexpr Field kSnapshotFields[] = {
    Row<Snapshot, &Snapshot::name>("name").To(kMaxSnapshotName),
    Row<Snapshot, &Snapshot::created_at>("created_at").To(kMaxStoredTime),
    Row<Snapshot, &Snapshot::sequence>("sequence").To(kMaxSequence),
};

// The disk became that of a snapshot.
struct Reset {
  std::string snapshot;
  WallTime reset_at{};
  std::int64_t sequence = 0;  // As of Snapshot.
  // While it is not known whether the disk was replaced: the inode of the new one.
  std::int64_t inode = 0;
};

inline constexpr Field kResetFields[] = {
    Row<Reset, &Reset::snapshot>("snapshot").To(kMaxSnapshotName),
    Row<Reset, &Reset::reset_at>("reset_at").To(kMaxStoredTime),
    Row<Reset, &Reset::sequence>("sequence").To(kMaxSequence),
    Row<Reset, &Reset::inode>("inode"),
};

// A name that is one of a file, and looks like no option: letters, digits, '.', '_' and '-', the
// first one a letter or a digit. kInvalidArgument.
Status CheckSnapshotName(std::string_view name);

// The disk of a snapshot.
std::filesystem::path SnapshotImage(const std::filesystem::path& task_dir, std::string_view name);

// Those of the task, the oldest first. One whose record cannot be read is left out.
Result<std::vector<Snapshot>> ListSnapshots(const std::filesystem::path& task_dir);

// kNotFound: there is no such snapshot; the hint names those that are there. kDataLoss.
Result<Snapshot> ReadSnapshot(const std::filesystem::path& task_dir, std::string_view name);

// The resets of the task, the oldest first. kDataLoss: their file is broken.
Result<std::vector<Reset>> ReadResets(const std::filesystem::path& task_dir);

// The right to change the snapshots of a task. Belongs to one thread.
class SnapshotChanges {
 public:
  // Waits for another process that changes them, and removes what a killed one left. kTimedOut.
  static Result<SnapshotChanges> Begin(std::filesystem::path task_dir, Deadline deadline);

  // kAlreadyExists, kLimit.
  Status CheckNew(std::string_view name) const;

  // Where a copy of the disk is put first.
  Result<std::filesystem::path> Stage();

  // The staged copy becomes a snapshot, on disk when this returns. Errors as for CheckNew.
  Status Keep(const Snapshot& snapshot);

  // The staged copy becomes the task's disk, and the reset is recorded, both on disk when this
  // returns. For the holder of the task's lock, while no guest runs. After an error, or a kill, the
  // disk is the old one or the new one, and ReadResets() says which.
  Status Use(Reset reset);

  // kNotFound.
  Status Remove(std::string_view name);

  // Removes a staged copy that is none of the above.
  void DropStaged();

 private:
  SnapshotChanges(std::filesystem::path task_dir, sys::FileLock lock)
      : task_dir_(std::move(task_dir)), lock_(std::move(lock)) {}

  std::filesystem::path task_dir_;
  sys::FileLock lock_;
};

}  // namespace pyro::state
