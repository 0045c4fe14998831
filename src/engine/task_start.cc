#include "engine/task_start.h"

#include <chrono>

#include "base/try.h"

namespace pyro::engine {
namespace {

using wire::Frame;
using wire::FrameType;

constexpr std::uint32_t kTaskChannel = 1;
constexpr std::chrono::seconds kStartLimit{180};  // Longer than the supervisor's own for a boot.
// Longer than its limit for a guest's kill.
constexpr std::chrono::seconds kCancelAnswerLimit{30};

Error GuestGone(std::string_view what) {
  return MakeError(ErrorCode::kGuestUnavailable, "the task's guest went away " + std::string(what),
                   "try again: the task keeps its workspace and starts by itself");
}

}  // namespace

Result<std::int64_t> StartInBackground(SupervisorLink& link, const wire::Exec& exec,
                                       const CallIo& io) {
  link.Send(EncodeFrame(exec.ToFrame(kTaskChannel)));
  link.Send(wire::EncodeEof(kTaskChannel, wire::Stream::kStdin));
  const Deadline deadline = Deadline::After(kStartLimit);
  while (true) {
    auto frame = link.Next(deadline, io.cancel_fd);
    if (!frame) {
      // It may have been recorded at this moment. Otherwise it ends with the link.
      link.Send(EncodeFrame(wire::Kill{wire::KillReason::kCancelled}.ToFrame(kTaskChannel)));
      (void)link.Pump();
      return std::move(frame).error();
    }
    switch (frame->type) {
      case FrameType::kAccepted: {
        PYRO_ASSIGN_OR_RETURN(const wire::Accepted accepted, wire::Accepted::FromFrame(*frame));
        return accepted.sequence;
      }
      case FrameType::kProgress: {
        PYRO_ASSIGN_OR_RETURN(const wire::Progress progress, wire::Progress::FromFrame(*frame));
        if (io.on_progress) io.on_progress(progress.phase, "", -1);
        break;
      }
      case FrameType::kError:
        return wire::ErrorFromFrame(*frame);
      case FrameType::kExited:
      case FrameType::kStopped:
        return GuestGone("before the command began");
      default:
        break;  // ready, credit for stdin: no action.
    }
  }
}

Status CancelBySequence(SupervisorLink& link, std::int64_t sequence, const CallIo& io) {
  link.Send(EncodeFrame(wire::Cancel{sequence}.ToFrame(kTaskChannel)));
  const Deadline deadline = Deadline::After(kCancelAnswerLimit);
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const Frame frame, link.Next(deadline, io.cancel_fd));
    if (frame.type == FrameType::kError) return wire::ErrorFromFrame(frame);
    if (frame.type == FrameType::kStopped) return GuestGone("while the command was cancelled");
    if (frame.type == FrameType::kExited && frame.channel == kTaskChannel) return OkStatus();
  }
}

}  // namespace pyro::engine
