#include "supervisor/frame_stream.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <utility>
#include <vector>

#include "base/try.h"
#include "sys/errno_error.h"

namespace pyro::supervisor {
namespace {

namespace asio = boost::asio;
using ErrorCodeOfAsio = boost::system::error_code;

constexpr std::size_t kReadBytes = 128 * 1024;
constexpr auto kFlushLimit = std::chrono::seconds(1);

}  // namespace

Result<std::shared_ptr<FrameStream>> FrameStream::Create(asio::io_context& loop,
                                                         sys::UniqueFd socket) {
  std::shared_ptr<FrameStream> stream(new FrameStream(loop));
  ErrorCodeOfAsio error;
  stream->socket_.assign(asio::local::stream_protocol(), socket.get(), error);
  if (!error) {
    (void)socket.Release();
    stream->socket_.non_blocking(true, error);
  }
  if (error) return sys::ErrnoError(error.value(), "watch socket");
  stream->input_ = std::make_unique_for_overwrite<char[]>(kReadBytes);
  return stream;
}

void FrameStream::Start(FrameHandler on_frame, EndHandler on_end) {
  on_frame_ = std::move(on_frame);
  on_end_ = std::move(on_end);
  Read();
}

void FrameStream::Read() {
  socket_.async_read_some(
      asio::buffer(input_.get(), kReadBytes),
      [self = shared_from_this()](ErrorCodeOfAsio error, std::size_t bytes) {
        if (error == asio::error::operation_aborted || !self->on_frame_) return;
        // A peer that ends with bytes of ours unread resets the connection.
        if (error == asio::error::eof || error == asio::error::connection_reset) {
          return self->End(std::nullopt);
        }
        if (error) return self->End(sys::ErrnoError(error.value(), "read"));
        self->Deliver(bytes);
      });
}

void FrameStream::Deliver(std::size_t bytes) {
  decoder_.Append({input_.get(), bytes});
  while (on_frame_) {
    auto frame = decoder_.Next();
    if (!frame) return End(frame.error());
    if (!*frame) return Read();
    // A copy: the handler may call Close(), which clears it.
    const FrameHandler handler = on_frame_;
    if (Status status = handler(std::move(**frame)); !status) return End(status.error());
  }
}

void FrameStream::End(std::optional<Error> error) {
  const EndHandler handler = std::move(on_end_);
  on_frame_ = nullptr;
  on_end_ = nullptr;
  if (handler) handler(std::move(error));
}

void FrameStream::Send(std::string bytes) {
  if (!socket_.is_open() || closing_) return;
  queue_.push_back(std::move(bytes));
  Flush();
}

void FrameStream::Flush() {
  if (!writing_.empty()) return;
  if (queue_.empty()) {
    if (closing_) Close();
    return;
  }
  writing_.swap(queue_);
  std::vector<asio::const_buffer> buffers;
  buffers.reserve(writing_.size());
  for (const std::string& bytes : writing_) buffers.emplace_back(asio::buffer(bytes));
  asio::async_write(socket_, buffers,
                    [self = shared_from_this()](ErrorCodeOfAsio error, std::size_t) {
                      self->writing_.clear();
                      // A failed write needs no report of its own: the reader sees the end of the
                      // stream too.
                      if (error) self->queue_.clear();
                      self->Flush();
                    });
}

void FrameStream::Close() {
  on_frame_ = nullptr;
  on_end_ = nullptr;
  queue_.clear();
  flush_limit_.cancel();
  ErrorCodeOfAsio ignored;
  socket_.close(ignored);
}

void FrameStream::CloseWhenSent() {
  if (!socket_.is_open() || closing_) return;
  on_frame_ = nullptr;
  on_end_ = nullptr;
  closing_ = true;
  flush_limit_.expires_after(kFlushLimit);
  flush_limit_.async_wait([self = shared_from_this()](ErrorCodeOfAsio error) {
    if (!error) self->Close();
  });
  Flush();
}

}  // namespace pyro::supervisor
