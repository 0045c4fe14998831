#include "engine/session/guest_command.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/try.h"

namespace pyro::engine {
namespace {

using wire::Frame;
using wire::FrameType;

constexpr std::size_t kMaxUnsent = 128 * 1024;  // Of stdin, before we stop reading it.

}  // namespace

RunningCommand::Polls GuestCommand::polls() const {
  return {{{over() ? -1 : link_.fd(), link_.PollEvents(), 0}, {-1, 0, 0}}};
}

Status GuestCommand::Advance(const Polls& polls, SteadyTime now) {
  PYRO_RETURN_IF_ERROR(TakeFrames());
  if (deadline_.at() <= now) {
    (void)Kill();
    return Lost(Loss::kSilent);
  }
  if (over() || (polls[0].revents == 0 && link_.unsent() == 0)) return OkStatus();
  Status status = link_.Pump();
  // The reason may have arrived before the link broke.
  PYRO_RETURN_IF_ERROR(TakeFrames());
  if (status || over()) return OkStatus();
  return LinkBroke(std::move(status).error());
}

Status GuestCommand::TakeFrames() {
  while (!over()) {
    PYRO_ASSIGN_OR_RETURN(const std::optional<Frame> frame, link_.TryNext());
    if (!frame) break;
    PYRO_RETURN_IF_ERROR(Take(*frame));
  }
  return OkStatus();
}

Status GuestCommand::Take(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kCredit: {
      PYRO_ASSIGN_OR_RETURN(const std::uint32_t bytes, DecodeCredit(frame));
      return input_window_.Granted(bytes);
    }
    case FrameType::kReady: {
      PYRO_ASSIGN_OR_RETURN(ready_, wire::Ready::FromFrame(frame));
      ready_at_ = std::chrono::steady_clock::now();
      return OkStatus();
    }
    case FrameType::kProgress: {
      PYRO_ASSIGN_OR_RETURN(const wire::Progress progress, wire::Progress::FromFrame(frame));
      if (io_.on_progress) io_.on_progress(progress.phase, "", -1);
      return OkStatus();
    }
    case FrameType::kExited: {
      PYRO_ASSIGN_OR_RETURN(const wire::Exited exited, wire::Exited::FromFrame(frame));
      if (exited.outcome == Outcome::kInterrupted) return Lost(Loss::kGuestDied);
      end_ = exited;
      return OkStatus();
    }
    case FrameType::kError:
      return wire::ErrorFromFrame(frame);
    case FrameType::kStopped:
      return Lost(Loss::kStopped);
    default:
      return OkStatus();
  }
}

Error GuestCommand::Lost(Loss loss) const {
  switch (loss) {
    case Loss::kGuestDied:
      return MakeError(ErrorCode::kGuestUnavailable, "the guest died before the command ended",
                       "its memory may have been too small, or another process killed it");
    case Loss::kStopped:
      return MakeError(ErrorCode::kGuestUnavailable, "the VM was stopped before the command ended",
                       "its lease was over, or another process stopped or deleted it");
    case Loss::kSilent:
      break;
  }
  return MakeError(ErrorCode::kTimedOut, "the VM's supervisor does not answer",
                   "try again; if it stays so, delete the VM");
}

void GuestCommand::SendKill() {
  link_.Send(EncodeFrame(wire::Kill{wire::KillReason::kCancelled}.ToFrame(kChannel)));
}

std::size_t GuestCommand::input_room() const {
  return link_.unsent() < kMaxUnsent ? std::min(input_window_.available(), wire::kMaxDataBytes) : 0;
}

void GuestCommand::Input(std::string_view bytes) {
  input_window_.Sent(bytes.size());
  link_.Send(wire::EncodeData(kChannel, wire::Stream::kStdin, bytes));
}

void GuestCommand::EndInput() { link_.Send(wire::EncodeEof(kChannel, wire::Stream::kStdin)); }

Status FrameOutput::Received(const Frame& frame) {
  const OutputStream stream = wire::OutputOf(frame.stream);
  PYRO_RETURN_IF_ERROR(windows_[static_cast<std::size_t>(stream)].Received(frame.payload.size()));
  buffer(stream) += frame.payload;
  return OkStatus();
}

void FrameOutput::Taken(OutputStream stream, std::size_t bytes) {
  const std::uint32_t credit = windows_[static_cast<std::size_t>(stream)].Consumed(bytes);
  if (credit > 0) link_.Send(wire::EncodeCredit(channel_, wire::StreamOf(stream), credit));
}

PlainCommand::PlainCommand(SupervisorLink& link, const wire::Exec& exec, const CallIo& io)
    : GuestCommand(link, io), output_(link, kChannel) {
  link.Send(EncodeFrame(exec.ToFrame(kChannel)));
}

Status PlainCommand::Take(const Frame& frame) {
  return frame.type == FrameType::kData ? output_.Received(frame) : GuestCommand::Take(frame);
}

Error TaskWork::Lost(Loss loss) const {
  if (loss == Loss::kSilent) {
    return MakeError(ErrorCode::kTimedOut, "the task's supervisor does not answer", "try again");
  }
  return MakeError(ErrorCode::kGuestUnavailable,
                   loss == Loss::kStopped ? "the task was stopped before this call was done"
                                          : "the task's guest died before this call was done",
                   "call again: the task keeps its workspace and starts by itself");
}

}  // namespace pyro::engine
