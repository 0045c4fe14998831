#include "net/frame_end.h"

#include <sys/socket.h>

#include <cerrno>

#include "sys/errno_error.h"

namespace pyro::net {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr int kPacketsAtOnce = 64;
constexpr std::size_t kBytesOfLength = 4;

}  // namespace

FrameEnd::FrameEnd(int fd, vmm::FrameForm form) : fd_(fd), form_(form), input_(kReadBytes, '\0') {}

Result<std::string_view> FrameEnd::Read(SocketState& state) {
  packets_.clear();
  for (int i = 0; i < kPacketsAtOnce; ++i) {
    const ssize_t count = ::recv(fd_, input_.data(), input_.size(), MSG_DONTWAIT);
    if (count > 0) {
      const auto bytes = static_cast<std::size_t>(count);
      if (form_ == vmm::FrameForm::kStream) return std::string_view(input_).substr(0, bytes);
      AppendFrame(packets_, Frame(reinterpret_cast<const std::uint8_t*>(input_.data()), bytes));
      continue;
    }
    if (count == 0 || errno == ECONNRESET) {
      state = SocketState::kClosed;
    } else if (errno != EAGAIN && errno != EINTR) {
      return sys::ErrnoError(errno, "read frames");
    }
    break;
  }
  return std::string_view(packets_);
}

// The bytes that one send() may take; as packets, those of a whole frame with its length before it.
std::size_t FrameEnd::NextBytes() const {
  const std::size_t rest = output_.size() - sent_;
  if (form_ == vmm::FrameForm::kStream || rest < kBytesOfLength) {
    return form_ == vmm::FrameForm::kStream ? rest : 0;
  }
  std::size_t length = kBytesOfLength;
  for (std::size_t i = 0, value = 0; i < kBytesOfLength; ++i) {
    value = value << 8 | static_cast<unsigned char>(output_[sent_ + i]);
    if (i + 1 == kBytesOfLength) length += value;
  }
  return rest < length ? 0 : length;
}

Status FrameEnd::Flush(SocketState& state) {
  while (const std::size_t bytes = NextBytes()) {
    const std::size_t skip = form_ == vmm::FrameForm::kStream ? 0 : kBytesOfLength;
    const ssize_t count =
        ::send(fd_, output_.data() + sent_ + skip, bytes - skip, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      sent_ += skip + static_cast<std::size_t>(count);
    } else if (errno == EPIPE || errno == ECONNRESET) {
      state = SocketState::kClosed;
      return OkStatus();
    } else if (errno == EAGAIN) {
      return OkStatus();
    } else if (errno != EINTR) {
      return sys::ErrnoError(errno, "send frames");
    }
  }
  output_.erase(0, sent_);
  sent_ = 0;
  return OkStatus();
}

}  // namespace pyro::net
