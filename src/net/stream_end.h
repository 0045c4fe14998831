// One end of a non-blocking stream of frames, with the bytes not written yet.

#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "pyro/result.h"
#include "sys/errno_error.h"

namespace pyro::net {

enum class StreamState { kOpen, kClosed };

class StreamEnd {
 public:
  explicit StreamEnd(int fd) : fd_(fd), input_(kReadBytes, '\0') {}

  int fd() const { return fd_; }

  // Bytes that have arrived, valid until the next call; empty if there are none or the stream has
  // ended.
  Result<std::string_view> Read(StreamState& state) {
    const ssize_t count = ::recv(fd_, input_.data(), input_.size(), MSG_DONTWAIT);
    if (count > 0) return std::string_view(input_).substr(0, static_cast<std::size_t>(count));
    if (count == 0 || errno == ECONNRESET) {
      state = StreamState::kClosed;
    } else if (errno != EAGAIN && errno != EINTR) {
      return sys::ErrnoError(errno, "read frames");
    }
    return std::string_view();
  }

  // Queues bytes for Flush().
  std::string& output() { return output_; }
  std::size_t pending() const { return output_.size() - sent_; }

  // Sends as much as possible without waiting.
  Status Flush(StreamState& state) {
    while (pending() > 0) {
      const ssize_t count =
          ::send(fd_, output_.data() + sent_, pending(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count >= 0) {
        sent_ += static_cast<std::size_t>(count);
      } else if (errno == EPIPE || errno == ECONNRESET) {
        state = StreamState::kClosed;
        return OkStatus();
      } else if (errno == EAGAIN) {
        return OkStatus();
      } else if (errno != EINTR) {
        return sys::ErrnoError(errno, "send frames");
      }
    }
    output_.clear();
    sent_ = 0;
    return OkStatus();
  }

 private:
  static constexpr std::size_t kReadBytes = 256 * 1024;

  int fd_;
  std::string input_;
  std::string output_;
  std::size_t sent_ = 0;
};

}  // namespace pyro::net
