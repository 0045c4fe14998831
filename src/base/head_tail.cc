#include "base/head_tail.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro {

std::string JoinEnds(std::string_view head, std::string_view tail, std::uint64_t total) {
  head = WithoutCutEnd(head);
  tail = WithoutCutBegin(tail);
  return fmt::format("{}\n[… {} bytes left out …]\n{}", head, total - head.size() - tail.size(),
                     tail);
}

void HeadTail::Append(std::string_view bytes) {
  total_ += bytes.size();
  const std::size_t to_head = std::min(bytes.size(), head_limit_ - head_.size());
  head_.append(bytes.substr(0, to_head));
  bytes.remove_prefix(to_head);
  if (bytes.size() > tail_limit_) bytes.remove_prefix(bytes.size() - tail_limit_);
  if (tail_.size() + bytes.size() > 2 * tail_limit_) {
    const std::size_t keep = tail_limit_ - std::min(tail_limit_, bytes.size());
    tail_.erase(0, tail_.size() - std::min(keep, tail_.size()));
  }
  tail_.append(bytes);
}

std::string HeadTail::Text() const {
  const std::size_t keep = std::min(tail_.size(), tail_limit_);
  const std::string_view tail = std::string_view(tail_).substr(tail_.size() - keep);
  if (!truncated()) return head_ + std::string(tail);
  return JoinEnds(head_, tail, total_);
}

}  // namespace pyro
