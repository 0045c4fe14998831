#include "engine/task/disk_copy.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/explain.h"
#include "engine/instance/instance_guest.h"
#include "state/disk_reserve.h"
#include "state/instance/instance_directory.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/sparse_copy.h"
#include "sys/wait_for.h"
#include "wire/answers.h"

namespace pyro::engine {
namespace {

// Much less than the guest holds still without being asked again.
constexpr std::chrono::seconds kHoldOn{2};
// What a copy leaves free on the host's disk.
constexpr std::uint64_t kSpareRoom = 64ULL << 20;

Status CopyBlocks(const DiskCopy& copy, const std::atomic<bool>& stop) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd from, sys::OpenRegularFile(copy.from, O_RDONLY));
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd to,
                        sys::OpenFile(copy.to, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (sys::ShareBlocks(from, to)) return OkStatus();
  struct stat info {};
  if (::fstat(from.get(), &info) != 0) return sys::ErrnoError(errno, "stat", copy.from.native());
  const std::uint64_t written = static_cast<std::uint64_t>(info.st_blocks) * 512;
  if (written > copy.most_written) {
    return MakeError(ErrorCode::kLimit,
                     fmt::format("a copy of the disk takes {}, and this file system cannot share "
                                 "blocks",
                                 FormatBytes(written)));
  }
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t free, sys::FreeSpace(copy.to.parent_path()));
  if (free < written + kSpareRoom) {
    return MakeError(ErrorCode::kNoSpace,
                     fmt::format("a copy of the disk takes {}, and {} are free",
                                 FormatBytes(written), FormatBytes(free)),
                     "free some space, or keep pyro's state on a file system with reflinks");
  }
  return sys::CopySparse(from, to, &stop);
}

// `hold`: called now and then, and after a cancellation no more. Its error stops the copy.
Status CopyWhileHeld(const DiskCopy& copy, const CallIo& io, const std::function<Status()>& hold) {
  if (copy.while_still) PYRO_RETURN_IF_ERROR(copy.while_still());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe done, sys::MakePipe());
  std::atomic<bool> stop = false;
  std::optional<Status> copied;
  std::thread copier([&] {
    copied.emplace(CopyBlocks(copy, stop));
    done.write.Reset();
  });
  Status held = OkStatus();
  while (held) {
    const auto waited =
        sys::WaitFor(done.read.get(), POLLIN, Deadline::After(kHoldOn), io.cancel_fd);
    if (waited == sys::Waited::kReady) break;
    held = waited == sys::Waited::kCancelled ? Status(MakeError(ErrorCode::kCancelled, "cancelled"))
                                             : hold();
  }
  stop = true;  // It has ended, or must.
  copier.join();
  return held ? std::move(*copied) : held;
}

Error Explained(Error error) {
  if (error.code == ErrorCode::kNotFound) {
    error = MakeError(ErrorCode::kUnavailable, "the guest's agent cannot hold its disk still",
                      "it is of an earlier version: stop the task first");
  }
  return error;
}

Error Moved() {
  return MakeError(ErrorCode::kUnavailable, "the guest's disk did not hold still during the copy",
                   "this host may be busy; try again, or stop the task first");
}

}  // namespace

Status CheckDiskOfTask(const Context& context, const InstanceId& id) {
  if (!state::IsReadOnly(state::InstanceDirectory(context.state, id))) return OkStatus();
  const Explanation why = DiskFailed("files of the task", InTask::kYes);
  return MakeError(ErrorCode::kNoSpace, why.message, why.hint);
}

Status CopyDisk(const DiskCopy& copy, const CallIo& io) {
  return CopyWhileHeld(copy, io, [] { return OkStatus(); });
}

Status CopyDiskOfGuest(const DiskCopy& copy, SupervisorLink& link, const CallIo& io) {
  const auto frozen = link.Ask<wire::DiskFrozen>(io.cancel_fd);
  if (!frozen) return Explained(frozen.error());
  Status copied = CopyWhileHeld(copy, io, [&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(const wire::DiskFrozen still, link.Ask<wire::DiskFrozen>(-1));
    return still.number == frozen->number ? OkStatus() : Status(Moved());
  });
  PYRO_FAILPOINT("task.snapshot.copied");
  // Also after a failure: processes wait.
  const auto thawed = link.Ask<wire::DiskThawed>(-1);
  PYRO_RETURN_IF_ERROR(copied);
  if (!thawed) return thawed.error();
  return thawed->number == frozen->number ? OkStatus() : Status(Moved());
}

}  // namespace pyro::engine
