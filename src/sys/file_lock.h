// flock(2) as the sign that an owner is alive. It belongs to the open file description, so a child
// can inherit it, and it vanishes with its last holder, regardless of how that process dies.

#pragma once

#include <filesystem>
#include <optional>

#include "base/time.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

class FileLock {
 public:
  enum class Mode { kExclusive, kShared };

  // Creates the file if it is missing. nullopt: another process holds the lock, in a mode that
  // excludes this one.
  static Result<std::optional<FileLock>> TryAcquire(const std::filesystem::path& path,
                                                    Mode mode = Mode::kExclusive);

  // kTimedOut at the deadline. Polls: flock has no wait with a limit.
  static Result<FileLock> Acquire(const std::filesystem::path& path, Deadline deadline);

  // Takes over a locked description, inherited from the process that locked it.
  static FileLock Adopt(UniqueFd fd) { return FileLock(std::move(fd)); }

  // Borrowed; pass a duplicate of it to a child to share the lock.
  int fd() const { return fd_.get(); }

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace pyro::sys
