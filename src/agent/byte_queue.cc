#include "agent/byte_queue.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace pyro::agent {

char* ByteQueue::Prepare(std::size_t bytes) {
  if (capacity_ - end_ < bytes) {
    const std::size_t used = size();
    if (begin_ >= used && capacity_ - used >= bytes) {
      std::memcpy(data_.get(), data_.get() + begin_, used);  // The halves do not overlap.
    } else {
      const std::size_t capacity = std::max({capacity_ * 2, used + bytes, std::size_t{4096}});
      std::unique_ptr<char[]> data(new char[capacity]);
      if (used > 0) std::memcpy(data.get(), data_.get() + begin_, used);
      data_ = std::move(data);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = used;
  }
  return data_.get() + end_;
}

void ByteQueue::Commit(std::size_t bytes) {
  PYRO_CHECK(bytes <= capacity_ - end_);
  end_ += bytes;
}

void ByteQueue::Append(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(Prepare(bytes.size()), bytes.data(), bytes.size());
  Commit(bytes.size());
}

void ByteQueue::Consume(std::size_t bytes) {
  PYRO_CHECK(bytes <= size());
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

}  // namespace pyro::agent
