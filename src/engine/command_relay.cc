#include "engine/command_relay.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "base/try.h"

namespace pyro::engine {
namespace {

using wire::Frame;
using wire::FrameType;
using wire::Stream;

constexpr std::uint32_t kChannel = 1;
constexpr std::size_t kMaxUnsent = 128 * 1024;  // Of stdin, before we stop reading it.

// What waits for the sink.
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
        stdin_fd_(io.stdin_fd) {}

  Result<RelayResult> Run(const wire::Exec& exec) {
    link_.Send(EncodeFrame(exec.ToFrame(kChannel)));
    if (stdin_fd_ < 0) link_.Send(wire::EncodeEof(kChannel, Stream::kStdin));
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
      case FrameType::kCredit: {
        PYRO_ASSIGN_OR_RETURN(const std::uint32_t bytes, DecodeCredit(frame));
        return stdin_window_.Granted(bytes);
      }
      case FrameType::kReady: {
        PYRO_ASSIGN_OR_RETURN(result_.ready, wire::Ready::FromFrame(frame));
        result_.ready_at = std::chrono::steady_clock::now();
        began_ = true;  // The supervisor passes the command on at this moment.
        return OkStatus();
      }
      case FrameType::kProgress: {
        PYRO_ASSIGN_OR_RETURN(const wire::Progress progress, wire::Progress::FromFrame(frame));
        if (io_.on_progress) io_.on_progress(progress.phase, "", -1);
        return OkStatus();
      }
      case FrameType::kExited: {
        PYRO_ASSIGN_OR_RETURN(exited_, wire::Exited::FromFrame(frame));
        if (exited_->outcome.kind != wire::Outcome::Kind::kLost) return OkStatus();
        return MakeError(ErrorCode::kGuestUnavailable, "the guest died before the command ended",
                         "its memory may have been too small, or somebody killed it");
      }
      case FrameType::kError:
        return wire::ErrorFromFrame(frame);
      case FrameType::kStopped:
        return MakeError(ErrorCode::kGuestUnavailable,
                         "the VM was stopped before the command ended",
                         "its lease was over, or somebody stopped or deleted it");
      default:
        return OkStatus();  // started, eof: nothing to do.
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

  // Hands to the sink what it takes without waiting.
  Status Deliver(Output& output) {
    std::size_t done = 0;
    while (done < output.pending.size() && SinkIsReady(output.stream)) {
      auto taken = sink_.Write(output.stream, std::string_view(output.pending).substr(done));
      if (!taken) return std::move(taken).error();
      if (*taken == 0) break;
      done += *taken;
    }
    if (done == 0) return OkStatus();
    output.pending.erase(0, done);
    if (const std::uint32_t credit = output.window.Consumed(done); credit > 0) {
      link_.Send(wire::EncodeCredit(kChannel, output.wire_stream, credit));
    }
    return OkStatus();
  }

  bool SinkIsReady(OutputStream stream) {
    const int fd = sink_.WritableFd(stream);
    if (fd < 0) return true;
    pollfd poll_fd{fd, POLLOUT, 0};
    return ::poll(&poll_fd, 1, 0) > 0;
  }

  Status Wait() {
    const bool want_stdin =
        stdin_fd_ >= 0 && !exited_ && stdin_window_.available() > 0 && link_.unsent() < kMaxUnsent;
    std::array<pollfd, 5> polls = {{{exited_ ? -1 : link_.fd(), link_.PollEvents(), 0},
                                    {io_.cancel_fd, POLLIN, 0},
                                    {want_stdin ? stdin_fd_ : -1, POLLIN, 0},
                                    {PendingFd(outputs_[0]), POLLOUT, 0},
                                    {PendingFd(outputs_[1]), POLLOUT, 0}}};
    if (::poll(polls.data(), polls.size(), -1) < 0) return OkStatus();  // EINTR: look again.
    if (polls[1].revents != 0) return MakeError(ErrorCode::kCancelled, "cancelled");
    if (polls[2].revents != 0) ReadStdin();
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

  void ReadStdin() {
    std::array<char, wire::kMaxDataBytes> buffer;
    const std::size_t room = std::min(buffer.size(), stdin_window_.available());
    const ssize_t n = ::read(stdin_fd_, buffer.data(), room);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) {
      stdin_fd_ = -1;
      link_.Send(wire::EncodeEof(kChannel, Stream::kStdin));
      return;
    }
    stdin_window_.Sent(static_cast<std::size_t>(n));
    link_.Send(
        wire::EncodeData(kChannel, Stream::kStdin, {buffer.data(), static_cast<std::size_t>(n)}));
  }

  SupervisorLink& link_;
  OutputSink& sink_;
  const CallIo& io_;
  bool& began_;
  std::array<Output, 2> outputs_;
  int stdin_fd_;
  wire::SendWindow stdin_window_;
  std::optional<wire::Exited> exited_;
  RelayResult result_;
};

}  // namespace

Result<RelayResult> RelayCommand(SupervisorLink& link, const wire::Exec& exec, OutputSink& sink,
                                 const CallIo& io, bool& began) {
  return Relay(link, sink, io, began).Run(exec);
}

}  // namespace pyro::engine
