// A guest that makes a disk of an image's layers: there pyro is root.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "image/progress.h"
#include "pyro/result.h"

namespace pyro::image {

// A version of an installed environment. A value.
struct GuestEnvironment {
  std::string name;
  std::string digest;
};

struct GuestBuild {
  GuestEnvironment environment;  // That the guest runs.
  std::filesystem::path blank;   // An empty file system, whose copy the guest fills.
  std::filesystem::path disk;    // The result. Must not exist.
  std::uint64_t bytes = 0;       // That the disk will take, at most.
  // Each writes the tar of a layer as archive::CopyImageLayer does, to a descriptor that it
  // borrows. The lowest is the first. Called in a thread of its own, one after another.
  std::vector<std::function<Status(int out_fd)>> layers;
};

// The image store calls guests by this alone. Belongs to one thread.
class BuilderGuest {
 public:
  virtual ~BuilderGuest() = default;

  // Starts a guest and ends it again. Returns what it could not keep, one line each, for people. On
  // failure a part of the disk may be there. Reports the phase "extract" and "seal". kDataLoss: a
  // layer contradicts those below it. kNoSpace. kGuestUnavailable. kCancelled.
  virtual Result<std::vector<std::string>> Build(const GuestBuild& build,
                                                 const ProgressFn& progress,
                                                 Cancellation cancel) = 0;
};

}  // namespace pyro::image
