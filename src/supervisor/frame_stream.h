// Frames over a connected AF_UNIX stream socket, on an event loop: one reader, one ordered queue of
// writes.

#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "wire/frame.h"

namespace pyro::supervisor {

// Belongs to the loop's thread. Kept alive by its own pending operations; Close() ends them.
class FrameStream : public std::enable_shared_from_this<FrameStream> {
 public:
  // An error from the handler closes the stream as a breach of the protocol does.
  using FrameHandler = std::function<Status(wire::Frame)>;
  // Called once, unless Close() was called first: nullopt for an end of file, else the reason why
  // the stream is unusable.
  using EndHandler = std::function<void(std::optional<Error>)>;

  static Result<std::shared_ptr<FrameStream>> Create(boost::asio::io_context& loop,
                                                     sys::UniqueFd socket);

  void Start(FrameHandler on_frame, EndHandler on_end);

  // Queues the bytes of whole frames. Has no effect after Close(). The queue is not bounded here:
  // credit bounds the callers' bytes.
  void Send(std::string bytes);

  // Drops the queue; no handler is called any more.
  void Close();

  // Sends the queue, then closes; gives up after a second if the peer does not read.
  void CloseWhenSent();

 private:
  explicit FrameStream(boost::asio::io_context& loop) : socket_(loop), flush_limit_(loop) {}
  void Read();
  void Deliver(std::size_t bytes);
  void Flush();
  void End(std::optional<Error> error);

  boost::asio::local::stream_protocol::socket socket_;
  boost::asio::steady_timer flush_limit_;
  wire::FrameDecoder decoder_;
  std::unique_ptr<char[]> input_;
  std::deque<std::string> queue_;
  std::deque<std::string> writing_;
  bool closing_ = false;
  FrameHandler on_frame_;
  EndHandler on_end_;
};

}  // namespace pyro::supervisor
