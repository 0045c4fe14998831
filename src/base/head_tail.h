// Keeps the beginning and the end of a stream of any length in bounded memory.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pyro {

// The two ends of a text of `total` bytes, with a line between them that says how many bytes are
// left out. Neither end is cut within a UTF-8 character: up to 3 bytes of each may be left out too.
std::string JoinEnds(std::string_view head, std::string_view tail, std::uint64_t total);

// Not thread-safe. Holds at most head_limit + 2 * tail_limit bytes.
class HeadTail {
 public:
  // Limits in bytes. With head_limit 0 only the end is kept.
  HeadTail(std::size_t head_limit, std::size_t tail_limit)
      : head_limit_(head_limit), tail_limit_(tail_limit) {}

  void Append(std::string_view bytes);

  std::uint64_t total_bytes() const { return total_; }
  bool truncated() const { return total_ > head_limit_ + tail_limit_; }

  // All of it, or head, a line that says how many bytes were left out, and tail.
  std::string Text() const;

 private:
  std::size_t head_limit_;
  std::size_t tail_limit_;
  std::uint64_t total_ = 0;
  std::string head_;
  std::string tail_;  // Up to twice tail_limit_, so that trimming is rare.
};

}  // namespace pyro
