// Room on the disk that a task keeps for the ends of its commands, and the registry for being
// opened. On a full disk it is freed. Then the end of a command can still be marked as cut off and
// recorded, and the tasks that fill the disk can still be deleted.

#pragma once

#include <cstdint>
#include <filesystem>
#include <utility>

#include "pyro/result.h"

namespace pyro::state {

// Enough for the marks and the ends of many commands, in journal.jsonl and in registry.db.
inline constexpr std::uint64_t kDiskReserveBytes = 128 * 1024;

// The file `reserve` in a directory: a task's, by its supervisor, or the state's, by the process
// that opens the registry. Not thread-safe.
class DiskReserve {
 public:
  explicit DiskReserve(const std::filesystem::path& directory);

  // Makes the file if it is missing. kNoSpace: also if the disk has little more room than that,
  // which others need now; try later.
  Status Fill();

  bool full() const { return full_; }

  // Gives the room back. True: there was some.
  bool Release();

 private:
  std::filesystem::path file_;
  bool full_ = false;
};

// The mark in a task's directory that its guest could not write to its disk. A disk without room
// takes a file without content, as a rule.
void MarkReadOnly(const std::filesystem::path& directory, bool read_only);
bool IsReadOnly(const std::filesystem::path& directory);

// Whether a directory without its reserve is on a disk too full for a new one. Files there may be
// cut off.
bool IsStarving(const std::filesystem::path& directory);

}  // namespace pyro::state
