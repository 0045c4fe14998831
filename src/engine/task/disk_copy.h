// Copies of a task's disk, while its guest runs or not.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "engine/context.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/engine.h"
#include "pyro/result.h"

namespace pyro::engine {

struct DiskCopy {
  std::filesystem::path from;
  std::filesystem::path to;  // Must not exist.
  // The most bytes that are written where the file system cannot share blocks. More: kLimit.
  std::uint64_t most_written = UINT64_MAX;
  // If given, called once while the disk holds still, before the copy. Its error ends the copy.
  std::function<Status()> while_still;
};

// kNoSpace: the guest that runs in a task could not write to its disk, so a copy of it would have
// broken files.
Status CheckDiskOfTask(const Context& context, const InstanceId& id);

// Of a disk that nothing changes. kNoSpace also: before a byte is written, if the host's disk has
// no room for all of it. kCancelled.
Status CopyDisk(const DiskCopy& copy, const CallIo& io);

// Of the disk of a guest that runs: its processes cannot write meanwhile. kUnavailable also: the
// disk did not hold still.
Status CopyDiskOfGuest(const DiskCopy& copy, SupervisorLink& link, const CallIo& io);

}  // namespace pyro::engine
