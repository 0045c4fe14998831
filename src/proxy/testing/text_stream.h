// A stream of a text that is known before, for tests.

#pragma once

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include "proxy/stream.h"

namespace pyro::proxy {

class TextStream : public Stream {
 public:
  // Gives at most `size` bytes at once.
  TextStream(std::string text, std::size_t size) : text_(std::move(text)), size_(size) {}

  asio::awaitable<Result<std::size_t>> Read(std::span<char> into) override {
    const std::size_t count = std::min({size_, into.size(), text_.size() - at_});
    std::memcpy(into.data(), text_.data() + at_, count);
    at_ += count;
    co_return count;
  }
  asio::awaitable<Status> Write(std::string_view bytes) override {
    written_.append(bytes);
    co_return OkStatus();
  }
  asio::awaitable<void> End() override { co_return; }
  void SetIdleLimit(std::chrono::seconds) override {}

  const std::string& written() const { return written_; }

 private:
  std::string text_;
  std::size_t size_;
  std::size_t at_ = 0;
  std::string written_;
};

// Runs a coroutine in a loop of its own, until it ends.
inline void RunToEnd(std::function<asio::awaitable<void>()> body) {
  asio::io_context loop;
  asio::co_spawn(loop, std::move(body), asio::detached);
  loop.run();
}

}  // namespace pyro::proxy
