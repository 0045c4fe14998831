#include "engine/session/journaled_command.h"

#include <chrono>
#include <string>
#include <utility>

#include "base/try.h"
#include "sys/failpoint.h"

namespace pyro::engine {
namespace {

using std::chrono::seconds;
using wire::Frame;
using wire::FrameType;

constexpr seconds kKillLimit{20};     // For a killed command's end to be recorded.
constexpr seconds kRecordLimit{180};  // Longer than the supervisor's own for a boot.
constexpr seconds kAnswerLimit{30};   // Longer than the supervisor's own for a guest's kill.

Error GuestGone(const std::string& when) {
  return MakeError(ErrorCode::kGuestUnavailable, "the task's guest went away " + when,
                   "try again: the task keeps its workspace and starts by itself");
}

Result<std::int64_t> SequenceIn(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const wire::Accepted accepted, wire::Accepted::FromFrame(frame));
  return accepted.sequence;
}

}  // namespace

JournaledCommand::JournaledCommand(SupervisorLink& link, const wire::Exec& exec,
                                   const std::filesystem::path& task_dir, const CallIo& io)
    : GuestCommand(link, io), task_dir_(task_dir) {
  if (!exec.kept) unkept_.emplace(link, kChannel);
  link.Send(EncodeFrame(exec.ToFrame(kChannel)));
  PYRO_FAILPOINT("task.exec.client-asking");
}

bool JournaledCommand::Kill() {
  SetDeadline(Deadline::After(kKillLimit));
  SendKill();
  return true;
}

Status JournaledCommand::Take(const Frame& frame) {
  if (frame.type == FrameType::kAccepted) {
    PYRO_ASSIGN_OR_RETURN(sequence_, SequenceIn(frame));
    PYRO_FAILPOINT("task.exec.client-accepted");
    if (!unkept_) {
      PYRO_ASSIGN_OR_RETURN(output_, JournalOutput::Open(task_dir_, sequence_));
    }
    return OkStatus();
  }
  if (frame.type == FrameType::kData && unkept_) return unkept_->Received(frame);
  Status status = GuestCommand::Take(frame);
  if (frame.type == FrameType::kExited) PYRO_FAILPOINT("task.exec.client-told");
  return status;
}

Error JournaledCommand::Lost(Loss loss) const {
  if (loss == Loss::kSilent) {
    return MakeError(ErrorCode::kTimedOut, "the task's supervisor does not answer", "try again");
  }
  return MakeError(ErrorCode::kGuestUnavailable,
                   "the task's guest went away before the command's end was told",
                   "'pyro task logs' shows its record; the task keeps its workspace and "
                   "starts by itself");
}

BackgroundCommand::BackgroundCommand(SupervisorLink& link, const wire::Exec& exec, const CallIo& io,
                                     Engine::StdinEnd end)
    : GuestCommand(link, io), end_(end) {
  link.Send(EncodeFrame(exec.ToFrame(kChannel)));
  SetDeadline(Deadline::After(kRecordLimit));
}

// It may have been recorded at this moment. Otherwise it ends with the link.
bool BackgroundCommand::Kill() {
  SendKill();
  (void)link().Pump();
  return false;
}

void BackgroundCommand::EndInput() {
  input_ended_ = true;
  if (end_ == Engine::StdinEnd::kAfterInput) GuestCommand::EndInput();
}

Status BackgroundCommand::Take(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kAccepted: {
      PYRO_ASSIGN_OR_RETURN(sequence_, SequenceIn(frame));
      return OkStatus();
    }
    case FrameType::kExited:
    case FrameType::kStopped:
      input_ended_ = true;
      if (sequence_ > 0) return OkStatus();  // The journal tells how it ended.
      return GuestGone("before the command began");
    default:
      return GuestCommand::Take(frame);
  }
}

CommandKiller::CommandKiller(SupervisorLink& link, std::int64_t sequence, const CallIo& io)
    : GuestCommand(link, io) {
  link.Send(EncodeFrame(wire::Cancel{sequence}.ToFrame(kChannel)));
  SetDeadline(Deadline::After(kAnswerLimit));
}

Status CommandKiller::Take(const Frame& frame) {
  if (frame.type == FrameType::kStopped) return GuestGone("while the command was cancelled");
  if (frame.type != FrameType::kExited) return GuestCommand::Take(frame);
  done_ = true;
  return OkStatus();
}

}  // namespace pyro::engine
