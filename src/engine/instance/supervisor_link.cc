#include "engine/instance/supervisor_link.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/unix_socket.h"
#include "sys/wait_for.h"

namespace pyro::engine {
namespace {

using wire::Frame;
using wire::FrameType;

constexpr std::size_t kReceiveBytes = 64 * 1024;
constexpr auto kHelloLimit = std::chrono::seconds(30);
constexpr std::chrono::seconds kQuestionLimit{30};  // Longer than the supervisor's own.
constexpr std::uint32_t kQuestionChannel = 1;

Error Gone() {
  return MakeError(ErrorCode::kGuestUnavailable, "the VM ended in the middle of the call",
                   "its supervisor was killed or lost its guest; try again with a new VM");
}

// The process that was at the other end when the connection was made.
Result<sys::UniqueFd> PeerProcess(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return sys::ErrnoError(errno, "getsockopt");
  }
  const long fd = ::syscall(SYS_pidfd_open, peer.pid, 0);
  if (fd < 0) return sys::ErrnoError(errno, "pidfd_open");
  return sys::UniqueFd(static_cast<int>(fd));
}

}  // namespace

Result<SupervisorLink> SupervisorLink::Connect(const std::filesystem::path& path) {
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd socket, sys::ConnectUnix(path));
  if (!sys::PeerIsSameUser(socket.get())) {
    return MakeError(ErrorCode::kPermissionDenied,
                     "the supervisor's socket belongs to another user");
  }
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd process, PeerProcess(socket.get()));
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(socket.get()));
  PYRO_FAILPOINT("client.connected");
  SupervisorLink link(std::move(socket), std::move(process));
  wire::Hello hello;
  hello.role = "client";
  link.Send(EncodeFrame(hello.ToFrame()));
  PYRO_ASSIGN_OR_RETURN(const Frame answer, link.Next(Deadline::After(kHelloLimit), -1));
  if (answer.type == FrameType::kError) return wire::ErrorFromFrame(answer);
  if (answer.type != FrameType::kHello) {
    return MakeError(ErrorCode::kProtocol, "the supervisor did not greet");
  }
  PYRO_RETURN_IF_ERROR(wire::Hello::FromFrame(answer));
  PYRO_FAILPOINT("client.greeted");
  return link;
}

short SupervisorLink::PollEvents() const {
  return static_cast<short>(POLLIN | (outgoing_.empty() ? 0 : POLLOUT));
}

Status SupervisorLink::Pump() {
  while (!outgoing_.empty()) {
    const ssize_t n = ::send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
    if (n > 0) {
      outgoing_.erase(0, static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    // The reading side reports a broken pipe, after the supervisor's last frames.
    if (errno != EAGAIN) outgoing_.clear();
    break;
  }
  if (!received_) received_ = std::make_unique_for_overwrite<char[]>(kReceiveBytes);
  const ssize_t n = ::recv(socket_.get(), received_.get(), kReceiveBytes, 0);
  if (n > 0) {
    decoder_.Append({received_.get(), static_cast<std::size_t>(n)});
    return OkStatus();
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return OkStatus();
  ended_ = true;
  return Gone();
}

Result<Frame> SupervisorLink::Next(Deadline deadline, int cancel_fd) {
  while (true) {
    PYRO_ASSIGN_OR_RETURN(std::optional<Frame> frame, decoder_.Next());
    if (frame) return std::move(*frame);
    if (ended_) return Gone();
    const auto waited = sys::WaitFor(socket_.get(), PollEvents(), deadline, cancel_fd);
    if (waited == sys::Waited::kCancelled) return MakeError(ErrorCode::kCancelled, "cancelled");
    if (waited == sys::Waited::kTimedOut) {
      return MakeError(ErrorCode::kTimedOut, "the VM's supervisor does not answer",
                       "try again; if it stays so, delete the VM");
    }
    // Frames that arrived before the end still count.
    if (Status status = Pump(); !status && !ended_) return status.error();
  }
}

Result<wire::Ready> SupervisorLink::AwaitReady(Deadline deadline, const CallIo& io) {
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const Frame frame, Next(deadline, io.cancel_fd));
    switch (frame.type) {
      case FrameType::kReady:
        return wire::Ready::FromFrame(frame);
      case FrameType::kError:
        return wire::ErrorFromFrame(frame);
      case FrameType::kProgress: {
        PYRO_ASSIGN_OR_RETURN(const wire::Progress progress, wire::Progress::FromFrame(frame));
        if (io.on_progress) io.on_progress(progress.phase, "", -1);
        break;
      }
      case FrameType::kStopped:
        return MakeError(ErrorCode::kGuestUnavailable, "the guest was stopped while it started",
                         "another process stopped or deleted it");
      default:
        return MakeError(ErrorCode::kProtocol, "an unexpected frame from the supervisor");
    }
  }
}

Status SupervisorLink::Claim(const wire::Claim& claim, Deadline deadline) {
  Send(EncodeFrame(claim.ToFrame()));
  PYRO_ASSIGN_OR_RETURN(const Frame answer, Next(deadline, -1));
  if (answer.type == FrameType::kClaimed) return OkStatus();
  if (answer.type == FrameType::kError) return wire::ErrorFromFrame(answer);
  return MakeError(ErrorCode::kProtocol, "an unexpected frame from the supervisor");
}

Result<Frame> SupervisorLink::Ask(const wire::Ask& ask, int cancel_fd) {
  Send(EncodeFrame(ask.ToFrame(kQuestionChannel)));
  const Deadline deadline = Deadline::After(kQuestionLimit);
  while (true) {
    Result<Frame> next = Next(deadline, cancel_fd);
    if (!next && ended_) {
      return MakeError(ErrorCode::kGuestUnavailable, "the guest ended before it answered",
                       "its status says why");
    }
    if (!next && next.error().code == ErrorCode::kTimedOut) {
      return MakeError(ErrorCode::kGuestUnavailable, "the guest's supervisor does not answer",
                       "try again; if it stays so, stop the guest");
    }
    PYRO_ASSIGN_OR_RETURN(Frame frame, std::move(next));
    switch (frame.type) {
      case FrameType::kAnswer:
        return frame;
      case FrameType::kStopped:
        return MakeError(ErrorCode::kGuestUnavailable, "the guest was stopped before it answered");
      case FrameType::kError: {
        Error error = wire::ErrorFromFrame(frame);
        if (frame.channel == 0 && error.code == ErrorCode::kProtocol) {
          error.hint =
              "its supervisor may be of an earlier version: stop the guest, and start it again";
        }
        return error;
      }
      default:
        break;  // The guest has become ready.
    }
  }
}

Status SupervisorLink::Stop(wire::Stop stop, Deadline deadline) {
  Send(EncodeFrame(stop.ToFrame()));
  while (true) {
    auto frame = Next(deadline, -1);
    // Any end of the connection is the awaited one.
    if (!frame && frame.error().code == ErrorCode::kTimedOut) return frame.error();
    if (frame && frame->type == FrameType::kError && stop.only_spare) {
      return wire::ErrorFromFrame(*frame);
    }
    if (!frame || frame->type == FrameType::kStopped) return WaitForProcess(deadline);
  }
}

Status SupervisorLink::WaitForProcess(Deadline deadline) const {
  if (sys::WaitFor(process_.get(), POLLIN, deadline) == sys::Waited::kReady) return OkStatus();
  return MakeError(ErrorCode::kTimedOut, "the VM's supervisor does not end");
}

}  // namespace pyro::engine
