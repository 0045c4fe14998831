// The data disk's file system while its guest runs: syncs, and the room that it gives back.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "pyro/result.h"

namespace pyro::agent {

// How it is mounted. The first error of its own blocks ends all writes, which is not the default:
// the journal then has what the disk lacks, and the next start makes it whole. If writes went on,
// blocks that could not be written would be read again, as they were before.
//
// Not `discard`: a kernel then gives the blocks of deleted files back although the deletion could
// not be written, and after the next start the files are there again, without their content.
inline constexpr char kDataDiskOptions[] = "errors=remount-ro";

// Called by one thread at a time.
class DataDisk {
 public:
  // Takes a directory of the disk.
  using Try = std::function<Status(int directory)>;

  DataDisk();
  // With other ways to write all out, and to see whether the disk takes a change after that.
  DataDisk(Try sync, Try check);

  // Returns when all that was written before the call is on disk. `directory` is one of it. An
  // error: that is not so, or an earlier call had an error that lasts.
  Status Sync(int directory);

 private:
  Status TrySync(int directory);
  void GiveBack(int directory);

  const Try sync_;
  const Try check_;
  std::optional<Error> failed_;
  std::optional<std::uint64_t> least_free_;  // In bytes, since room was last given back.
};

}  // namespace pyro::agent
