#include "engine/command_relay.h"

#include <poll.h>

#include <array>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "base/try.h"
#include "wire/credit.h"

namespace pyro::engine {
namespace {

using wire::Frame;
using wire::FrameType;
using wire::Stream;

constexpr std::uint32_t kChannel = RelayChannel::kNumber;

// Bytes that wait for the sink.
struct Output {
  Stream wire_stream;
  OutputStream stream;
  wire::ReceiveWindow window;
  std::string pending;
};

class Relay {
 public:
  Relay(SupervisorLink& link, OutputSink& sink, const CallIo& io, bool& began)
      : link_(link),
        sink_(sink),
        io_(io),
        began_(began),
        outputs_{Output{Stream::kStdout, OutputStream::kStdout, {}, {}},
                 Output{Stream::kStderr, OutputStream::kStderr, {}, {}}},
        channel_(link, io) {}

  Result<RelayResult> Run(const wire::Exec& exec) {
    channel_.Begin(exec);
    while (true) {
      PYRO_RETURN_IF_ERROR(TakeFrames());
      for (Output& output : outputs_) PYRO_RETURN_IF_ERROR(Deliver(output));
      if (exited_ && outputs_[0].pending.empty() && outputs_[1].pending.empty()) break;
      PYRO_RETURN_IF_ERROR(Wait());
    }
    result_.exited = *exited_;
    return result_;
  }

 private:
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
      case FrameType::kData:
        return TakeOutput(frame);
      case FrameType::kReady:
        began_ = true;  // The supervisor passes the command on at this moment.
        return channel_.TakeCommon(frame, result_);
      case FrameType::kExited: {
        PYRO_ASSIGN_OR_RETURN(exited_, wire::Exited::FromFrame(frame));
        if (exited_->outcome != Outcome::kInterrupted) return OkStatus();
        return MakeError(ErrorCode::kGuestUnavailable, "the guest died before the command ended",
                         "its memory may have been too small, or another process killed it");
      }
      case FrameType::kError:
        return wire::ErrorFromFrame(frame);
      case FrameType::kStopped:
        return MakeError(ErrorCode::kGuestUnavailable,
                         "the VM was stopped before the command ended",
                         "its lease was over, or another process stopped or deleted it");
      default:
        return channel_.TakeCommon(frame, result_);
    }
  }

  Status TakeOutput(const Frame& frame) {
    Output& output = outputs_[frame.stream == Stream::kStdout ? 0 : 1];
    PYRO_RETURN_IF_ERROR(output.window.Received(frame.payload.size()));
    if (result_.first_output_at == SteadyTime{}) {
      result_.first_output_at = std::chrono::steady_clock::now();
    }
    output.pending += frame.payload;
    return OkStatus();
  }

  Status Deliver(Output& output) {
    PYRO_ASSIGN_OR_RETURN(const std::size_t done,
                          DeliverPending(sink_, output.stream, output.pending));
    if (done == 0) return OkStatus();
    if (const std::uint32_t credit = output.window.Consumed(done); credit > 0) {
      link_.Send(wire::EncodeCredit(kChannel, output.wire_stream, credit));
    }
    return OkStatus();
  }

  Status Wait() {
    if (exited_) channel_.DropStdin();
    std::array<pollfd, 5> polls = {{{exited_ ? -1 : link_.fd(), link_.PollEvents(), 0},
                                    {io_.cancel_fd, POLLIN, 0},
                                    channel_.StdinPoll(),
                                    {PendingFd(outputs_[0]), POLLOUT, 0},
                                    {PendingFd(outputs_[1]), POLLOUT, 0}}};
    if (::poll(polls.data(), polls.size(), -1) < 0) return OkStatus();  // EINTR: look again.
    if (polls[1].revents != 0) return MakeError(ErrorCode::kCancelled, "cancelled");
    if (polls[2].revents != 0) channel_.ReadStdin();
    if (polls[0].revents != 0 || link_.unsent() > 0) return PumpLink();
    return OkStatus();
  }

  Status PumpLink() {
    Status status = link_.Pump();
    if (status) return status;
    // The reason may have arrived before the end.
    PYRO_RETURN_IF_ERROR(TakeFrames());
    return exited_ ? OkStatus() : status;
  }

  int PendingFd(const Output& output) {
    return output.pending.empty() ? -1 : sink_.WritableFd(output.stream);
  }

  SupervisorLink& link_;
  OutputSink& sink_;
  const CallIo& io_;
  bool& began_;
  std::array<Output, 2> outputs_;
  RelayChannel channel_;
  std::optional<wire::Exited> exited_;
  RelayResult result_;
};

}  // namespace

Result<RelayResult> RelayCommand(SupervisorLink& link, const wire::Exec& exec, OutputSink& sink,
                                 const CallIo& io, bool& began) {
  return Relay(link, sink, io, began).Run(exec);
}

}  // namespace pyro::engine
