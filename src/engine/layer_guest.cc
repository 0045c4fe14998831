#include "engine/layer_guest.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/instance/instance_guest.h"
#include "engine/instance/reader_guest.h"
#include "engine/machine.h"
#include "engine/task/disk_copy.h"
#include "engine/task/task_transfer.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "wire/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

// Below it a host's disk is taken for the reason why a guest could not write.
constexpr std::uint64_t kFullDisk = 16ULL << 20;

Error NoRoom(const fs::path& where, std::uint64_t needed, std::uint64_t left) {
  return MakeError(ErrorCode::kNoSpace,
                   fmt::format("the disk of the image takes {} and '{}' has {} left",
                               FormatBytes(needed), where.native(), FormatBytes(left)),
                   "free some space, or let PYRO_STATE_DIR name a larger disk");
}

// Of one image. The guest has started, and is not ended here.
class LayerFilling {
 public:
  LayerFilling(ReaderGuest& guest, const image::GuestBuild& build, const CallIo& io)
      : guest_(guest), build_(build), io_(io) {}

  Result<std::vector<std::string>> Run() {
    PYRO_RETURN_IF_ERROR(guest_.link().AwaitReady(Deadline::After(kReadyLimit), io_));
    PYRO_FAILPOINT("layers.ready");
    for (std::size_t i = 0; i < build_.layers.size(); ++i) {
      const Status applied = Apply(i);
      if (!applied) return WithReason(ExplainLayer(applied.error(), i + 1));
      PYRO_FAILPOINT("layers.applied");
    }
    if (io_.on_progress) io_.on_progress("seal", "", -1);
    const Status copied =
        CopyDiskOfGuest({.from = guest_.disk(), .to = build_.disk}, guest_.link(), io_);
    if (!copied) return WithReason(copied.error());
    PYRO_FAILPOINT("layers.copied");
    return std::move(lost_);
  }

 private:
  Status Apply(std::size_t i) {
    FileCall unpack;
    unpack.request.operation = wire::FileOperation::kUnpack;
    unpack.request.path = wire::kImageTree;
    unpack.request.layer = true;
    unpack.request.make = i == 0;
    // What was not written at the end would be missing in the copy.
    unpack.request.durable = i + 1 == build_.layers.size();
    const auto pack = [&](int out_fd) -> Result<archive::Summary> {
      PYRO_RETURN_IF_ERROR(build_.layers[i](out_fd));
      return archive::Summary();
    };
    wire::FileEnd end;
    PYRO_RETURN_IF_ERROR(StreamIntoGuest(guest_.link(), unpack, pack, io_, &end));
    for (const wire::FileNote& note : end.notes) {
      if (note.names.empty()) continue;
      const std::string first = Printable(note.names.front().name);
      lost_.push_back(fmt::format(
          "attributes that the disk cannot hold, of /{}{}", first,
          note.count == 1 ? std::string() : fmt::format(" and {} more", note.count - 1)));
    }
    return OkStatus();
  }

  // A guest only sees that its disk fails.
  Error WithReason(Error error) const {
    const auto left = sys::FreeSpace(guest_.disk().parent_path());
    const bool may_be = error.code == ErrorCode::kGuestUnavailable ||
                        error.code == ErrorCode::kDataLoss || error.code == ErrorCode::kUnavailable;
    if (!may_be || !left || *left >= kFullDisk) return error;
    return NoRoom(guest_.disk().parent_path(), build_.bytes, *left);
  }

  ReaderGuest& guest_;
  const image::GuestBuild& build_;
  const CallIo& io_;
  std::vector<std::string> lost_;
};

}  // namespace

Error ExplainLayer(Error error, std::size_t number) {
  switch (error.sys_errno) {
    case 0:
    case EIO:
    case EROFS:
    case ENOMEM:
      return error;
    case ENOSPC:
    case EDQUOT:
      return MakeError(ErrorCode::kNoSpace,
                       fmt::format("layer {} of the image does not fit on the disk that was made "
                                   "for it, from '{}' on",
                                   number, Printable(error.path)),
                       "an image with fewer or shorter names may fit");
    default:
      break;
  }
  if (error.path.empty()) return error;
  const char* const text = ::strerrordesc_np(error.sys_errno);
  return MakeError(
      ErrorCode::kDataLoss,
      fmt::format("layer {} of the image cannot be unpacked: {}: {}", number, Printable(error.path),
                  text != nullptr ? text : fmt::format("error {}", error.sys_errno)),
      "ask those who made the image for another one");
}

Result<std::vector<std::string>> LayerGuest::Build(const image::GuestBuild& build,
                                                   const image::ProgressFn& progress,
                                                   image::Cancellation cancel) {
  CallIo io;
  io.cancel_fd = cancel.fd;
  // What happens in the guest's start is a part of the unpacking.
  io.on_progress = [&progress](std::string_view phase, std::string_view detail, double) {
    if (!progress) return;
    const bool seals = phase == "seal";
    progress({seals ? "seal" : "extract", seals ? std::string(detail) : "a guest starts", {}});
  };
  PYRO_ASSIGN_OR_RETURN(const MachineWish machine, WishOf(context_, VmOptions()));
  ReaderWish wish;
  wish.environment = build.environment.name;
  wish.digest = build.environment.digest;
  PYRO_ASSIGN_OR_RETURN(wish.machine, RememberedMachine(context_, machine, 1));
  wish.fill = [&](const fs::path& disk) -> Status {
    PYRO_ASSIGN_OR_RETURN(const std::uint64_t left, sys::FreeSpace(disk.parent_path()));
    if (left < build.bytes + kFullDisk) return NoRoom(disk.parent_path(), build.bytes, left);
    return CopyDisk({.from = build.blank, .to = disk}, io);
  };
  PYRO_ASSIGN_OR_RETURN(ReaderGuest guest, ReaderGuest::Start(context_, wish, io));
  auto filled = LayerFilling(guest, build, io).Run();
  guest.Remove();
  return filled;
}

}  // namespace pyro::engine
