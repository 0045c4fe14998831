#include "engine/task_relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include "base/try.h"
#include "registry/journal.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

using wire::Frame;
using wire::FrameType;

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::chrono::seconds kCancelLimit{20};  // For a cancelled command's end to be recorded.

class TaskRelay {
 public:
  TaskRelay(SupervisorLink& link, const std::filesystem::path& task_dir, OutputSink& sink,
            const CallIo& io)
      : link_(link), task_dir_(task_dir), sink_(sink), io_(io), channel_(link, io) {}

  Result<TaskRelayResult> Run(const wire::Exec& exec) {
    channel_.Begin(exec);
    PYRO_FAILPOINT("task.exec.client-asking");
    while (true) {
      PYRO_RETURN_IF_ERROR(TakeFrames());
      // In this order: a read after the end was reported gets all of it.
      const bool ended = exited_.has_value();
      if (tail_) PYRO_RETURN_IF_ERROR(CopyOrCancel());
      if (ended && (!tail_ || tail_->drained())) break;
      PYRO_RETURN_IF_ERROR(Wait());
    }
    if (sink_error_) return *sink_error_;
    if (cancelled_) return MakeError(ErrorCode::kCancelled, "cancelled");
    result_.exited = *exited_;
    if (tail_) result_.first_output_at = tail_->first_output_at();
    return result_;
  }

 private:
  // A reader that is gone ends the command, and that is recorded before we leave.
  Status CopyOrCancel() {
    if (sink_error_) return OkStatus();
    if (Status status = tail_->Copy(); !status) {
      sink_error_ = status.error();
      tail_.reset();
      Cancel();
    }
    return OkStatus();
  }

  void Cancel() {
    if (cancelled_) return;
    cancelled_ = true;
    channel_.DropStdin();
    deadline_ = Deadline::After(kCancelLimit);
    link_.Send(
        EncodeFrame(wire::Kill{wire::KillReason::kCancelled}.ToFrame(RelayChannel::kNumber)));
  }

  Status TakeFrames() {
    while (!exited_) {
      PYRO_ASSIGN_OR_RETURN(std::optional<Frame> frame, link_.TryNext());
      if (!frame) return OkStatus();
      PYRO_RETURN_IF_ERROR(Take(*frame));
    }
    return OkStatus();
  }

  Status Take(const Frame& frame) {
    switch (frame.type) {
      case FrameType::kAccepted: {
        PYRO_ASSIGN_OR_RETURN(const wire::Accepted accepted, wire::Accepted::FromFrame(frame));
        result_.sequence = accepted.sequence;
        PYRO_FAILPOINT("task.exec.client-accepted");
        PYRO_ASSIGN_OR_RETURN(JournalTail tail,
                              JournalTail::Open(task_dir_, accepted.sequence, sink_));
        tail_.emplace(std::move(tail));
        return OkStatus();
      }
      case FrameType::kExited: {
        PYRO_ASSIGN_OR_RETURN(exited_, wire::Exited::FromFrame(frame));
        PYRO_FAILPOINT("task.exec.client-told");
        if (exited_->outcome != Outcome::kInterrupted) return OkStatus();
        return Lost();
      }
      case FrameType::kError:
        return wire::ErrorFromFrame(frame);
      case FrameType::kStopped:
        return Lost();
      default:
        return channel_.TakeCommon(frame, result_);
    }
  }

  static Error Lost() {
    return MakeError(ErrorCode::kGuestUnavailable,
                     "the task's guest went away before the command's end was told",
                     "'pyro task logs' shows its record; the task keeps its workspace and "
                     "starts by itself");
  }

  Status Wait() {
    if (exited_) channel_.DropStdin();
    std::array<pollfd, 6> polls = {{{exited_ ? -1 : link_.fd(), link_.PollEvents(), 0},
                                    {cancelled_ ? -1 : io_.cancel_fd, POLLIN, 0},
                                    channel_.StdinPoll(),
                                    {tail_ && !exited_ ? tail_->changed_fd() : -1, POLLIN, 0},
                                    {tail_ ? tail_->WaitFd(0) : -1, POLLOUT, 0},
                                    {tail_ ? tail_->WaitFd(1) : -1, POLLOUT, 0}}};
    if (::poll(polls.data(), polls.size(), deadline_.PollTimeout()) < 0) return OkStatus();
    if (deadline_.Expired()) {
      return MakeError(ErrorCode::kTimedOut, "the task's supervisor does not answer", "try again");
    }
    if (polls[1].revents != 0) Cancel();
    if (polls[2].revents != 0) channel_.ReadStdin();
    if (!exited_ && (polls[0].revents != 0 || link_.unsent() > 0)) return PumpLink();
    return OkStatus();
  }

  Status PumpLink() {
    Status status = link_.Pump();
    if (status) return status;
    // The reason may have arrived before the end.
    PYRO_RETURN_IF_ERROR(TakeFrames());
    return exited_ ? OkStatus() : Status(Lost());
  }

  SupervisorLink& link_;
  const std::filesystem::path& task_dir_;
  OutputSink& sink_;
  const CallIo& io_;
  RelayChannel channel_;
  std::optional<JournalTail> tail_;
  std::optional<wire::Exited> exited_;
  std::optional<Error> sink_error_;
  bool cancelled_ = false;
  Deadline deadline_ = Deadline::Never();
  TaskRelayResult result_;
};

}  // namespace

Result<JournalTail> JournalTail::Open(const std::filesystem::path& task_dir, std::int64_t sequence,
                                      OutputSink& sink) {
  JournalTail tail(sink);
  tail.inotify_ = sys::UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!tail.inotify_.valid()) return sys::ErrnoError(errno, "inotify");
  const OutputStream streams[] = {OutputStream::kStdout, OutputStream::kStderr};
  for (int i = 0; i < 2; ++i) {
    const auto path = registry::OutputFile(task_dir, sequence, streams[i]);
    tail.streams_[i].stream = streams[i];
    PYRO_ASSIGN_OR_RETURN(tail.streams_[i].file, sys::OpenFile(path, O_RDONLY));
    if (::inotify_add_watch(tail.inotify_.get(), path.c_str(), IN_MODIFY) < 0) {
      return sys::ErrnoError(errno, "watch", path.native());
    }
  }
  return tail;
}

Status JournalTail::Copy() {
  char events[4096];
  while (::read(inotify_.get(), events, sizeof events) > 0) {
  }
  for (Stream& stream : streams_) {
    while (true) {
      PYRO_RETURN_IF_ERROR(DeliverPending(*sink_, stream.stream, stream.pending));
      if (!stream.pending.empty()) break;
      stream.pending.resize(kReadBytes);
      const ssize_t n = ::read(stream.file.get(), stream.pending.data(), stream.pending.size());
      stream.pending.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
      if (n < 0 && errno != EINTR) return sys::ErrnoError(errno, "read the journal");
      if (n == 0) break;
      if (first_output_at_ == SteadyTime{}) first_output_at_ = std::chrono::steady_clock::now();
    }
  }
  return OkStatus();
}

int JournalTail::WaitFd(int stream) const {
  const Stream& one = streams_[stream];
  return one.pending.empty() ? -1 : sink_->WritableFd(one.stream);
}

Result<TaskRelayResult> RelayTaskCommand(SupervisorLink& link, const wire::Exec& exec,
                                         const std::filesystem::path& task_dir, OutputSink& sink,
                                         const CallIo& io) {
  return TaskRelay(link, task_dir, sink, io).Run(exec);
}

}  // namespace pyro::engine
