#include "engine/relay_channel.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>

#include "base/try.h"

namespace pyro::engine {
namespace {

using wire::FrameType;
using wire::Stream;

constexpr std::size_t kMaxUnsent = 128 * 1024;  // Of stdin, before we stop reading it.

bool IsReady(int fd) {
  if (fd < 0) return true;
  pollfd ready{fd, POLLOUT, 0};
  return ::poll(&ready, 1, 0) > 0;
}

}  // namespace

void RelayChannel::Begin(const wire::Exec& exec) {
  link_.Send(EncodeFrame(exec.ToFrame(kNumber)));
  if (stdin_fd_ < 0) link_.Send(wire::EncodeEof(kNumber, Stream::kStdin));
}

Status RelayChannel::TakeCommon(const wire::Frame& frame, RelayResult& result) {
  switch (frame.type) {
    case FrameType::kCredit: {
      PYRO_ASSIGN_OR_RETURN(const std::uint32_t bytes, DecodeCredit(frame));
      return stdin_window_.Granted(bytes);
    }
    case FrameType::kReady: {
      PYRO_ASSIGN_OR_RETURN(result.ready, wire::Ready::FromFrame(frame));
      result.ready_at = std::chrono::steady_clock::now();
      return OkStatus();
    }
    case FrameType::kProgress: {
      PYRO_ASSIGN_OR_RETURN(const wire::Progress progress, wire::Progress::FromFrame(frame));
      if (io_.on_progress) io_.on_progress(progress.phase, "", -1);
      return OkStatus();
    }
    default:
      return OkStatus();
  }
}

pollfd RelayChannel::StdinPoll() const {
  const bool wanted =
      stdin_fd_ >= 0 && stdin_window_.available() > 0 && link_.unsent() < kMaxUnsent;
  return {wanted ? stdin_fd_ : -1, POLLIN, 0};
}

void RelayChannel::ReadStdin() {
  std::vector<char> buffer(wire::kMaxDataBytes);
  const std::size_t room = std::min(buffer.size(), stdin_window_.available());
  const ssize_t n = ::read(stdin_fd_, buffer.data(), room);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) {
    stdin_fd_ = -1;
    link_.Send(wire::EncodeEof(kNumber, Stream::kStdin));
    return;
  }
  const auto bytes = static_cast<std::size_t>(n);
  stdin_window_.Sent(bytes);
  link_.Send(wire::EncodeData(kNumber, Stream::kStdin, {buffer.data(), bytes}));
}

Result<std::size_t> DeliverPending(OutputSink& sink, OutputStream stream, std::string& pending) {
  std::size_t done = 0;
  while (done < pending.size() && IsReady(sink.WritableFd(stream))) {
    PYRO_ASSIGN_OR_RETURN(const std::size_t taken,
                          sink.Write(stream, std::string_view(pending).substr(done)));
    if (taken == 0) break;
    done += taken;
  }
  pending.erase(0, done);
  return done;
}

}  // namespace pyro::engine
