// A queue of bytes in one piece, so that a system call can take from its front or read into its
// back.

#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace pyro::agent {

// Not thread-safe. Keeps its memory when it runs empty.
class ByteQueue {
 public:
  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  // Everything queued; valid until the next call that is not const.
  std::string_view front() const { return {data_.get() + begin_, size()}; }

  // Room for `bytes` behind the last one; valid until the next call that is not const. Commit()
  // queues the bytes that were filled.
  char* Prepare(std::size_t bytes);
  void Commit(std::size_t bytes);

  void Append(std::string_view bytes);
  void Consume(std::size_t bytes);
  void Clear() { Consume(size()); }

 private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace pyro::agent
