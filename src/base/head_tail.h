// Keeps the beginning and the end of a stream of any length in bounded memory.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pyro {

// The line between head and tail.
std::string LeftOutLine(std::uint64_t bytes);

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
