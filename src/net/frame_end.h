// One end of a non-blocking socket of frames, with the bytes not written yet. Those who use it
// see a stream of frames, each after its length, in either form of the socket.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "net/frames.h"
#include "pyro/result.h"
#include "vmm/vmm.h"

namespace pyro::net {

enum class SocketState { kOpen, kClosed };

class FrameEnd {
 public:
  FrameEnd(int fd, vmm::FrameForm form);

  int fd() const { return fd_; }

  // Bytes that have arrived, valid until the next call; empty if there are none or the socket has
  // ended.
  Result<std::string_view> Read(SocketState& state);

  // Queues bytes for Flush(). As packets, a frame leaves only once all of it is here.
  std::string& output() { return output_; }

  // Of the bytes queued, those that could be sent if the other side took them.
  std::size_t pending() const { return NextBytes() == 0 ? 0 : output_.size() - sent_; }

  // Sends as much as possible without waiting.
  Status Flush(SocketState& state);

 private:
  std::size_t NextBytes() const;

  int fd_;
  vmm::FrameForm form_;
  std::string input_;
  std::string packets_;  // Those of one Read(), as a stream.
  std::string output_;
  std::size_t sent_ = 0;
};

}  // namespace pyro::net
