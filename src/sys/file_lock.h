// flock(2) as "somebody who owns this is alive". It goes with the open file description, so it can
// be handed to a child by inheritance and vanishes with its last holder, however that one dies.

#pragma once

#include <filesystem>
#include <optional>

#include "base/time.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

class FileLock {
 public:
  // Creates the file if need be. nullopt: somebody else holds it.
  static Result<std::optional<FileLock>> TryAcquire(const std::filesystem::path& path);

  // kTimedOut at the deadline. Polls: flock has no wait with a limit.
  static Result<FileLock> Acquire(const std::filesystem::path& path, Deadline deadline);

  // Takes over a description that is locked already, inherited from the process that locked it.
  static FileLock Adopt(UniqueFd fd) { return FileLock(std::move(fd)); }

  // Borrowed; pass a duplicate of it to a child to share the lock.
  int fd() const { return fd_.get(); }

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace pyro::sys
