// tasks/<id>/sync: what a directory of the host and one of the task had in common after their last
// sync, one file for each such pair. docs/REGISTRY.md lists the files.

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "pyro/result.h"
#include "sys/file_lock.h"

namespace pyro::state {

inline constexpr std::size_t kMaxSyncStates = 64;  // Of a task; a new one displaces the oldest.
inline constexpr std::size_t kMaxSynced = 1'000'000;
inline constexpr std::size_t kMaxSyncStateBytes = 256 << 20;

// Tells that a file on one side has not changed. Nanoseconds.
struct FileStamp {
  std::int64_t inode = 0;  // 0: not known.
  std::int64_t mtime = 0;
  std::int64_t ctime = 0;
  bool operator==(const FileStamp&) const = default;
};

struct SyncedEntry {
  char type = 'f';           // Or d, or l.
  std::int64_t mode = 0;     // The permissions, up to 0777; of a link 0.
  std::int64_t size = 0;     // Of a file,
  std::uint64_t digest = 0;  // and that of its content.
  std::string target;        // Of a link.
  FileStamp host;
  FileStamp guest;
};

// By their paths, which are relative and have no "." or "..".
using SyncedTree = std::map<std::string, SyncedEntry, std::less<>>;

struct SyncState {
  WallTime synced_at{};
  SyncedTree tree;
};

// The two directories, absolute.
struct SyncPair {
  std::string host;
  std::string guest;
};

// The content of a file. kDataLoss: it is broken. nullopt: it is of another pair.
std::string SyncStateText(const SyncPair& pair, const SyncState& state);
Result<std::optional<SyncState>> ParseSyncState(const SyncPair& pair, std::string_view text);

// The right to sync a task. Belongs to one thread.
class SyncStates {
 public:
  // Waits for another process that syncs. kTimedOut.
  static Result<SyncStates> Begin(const std::filesystem::path& task_dir, Deadline deadline);

  // nullopt: these two have not been synced yet. kDataLoss.
  Result<std::optional<SyncState>> Read(const SyncPair& pair) const;

  // On disk when this returns; a kill leaves the old state or the new. kLimit: too many entries.
  Status Write(const SyncPair& pair, const SyncState& state) const;

 private:
  SyncStates(std::filesystem::path directory, sys::FileLock lock)
      : directory_(std::move(directory)), lock_(std::move(lock)) {}

  std::filesystem::path FileOf(const SyncPair& pair) const;
  std::vector<std::filesystem::path> Files() const;
  void RemoveHalfWritten() const;
  void MakeRoom() const;

  std::filesystem::path directory_;
  sys::FileLock lock_;
};

}  // namespace pyro::state
