#include "wire/credit.h"

#include <utility>

#include "base/check.h"

namespace pyro::wire {

void SendWindow::Sent(std::size_t bytes) {
  PYRO_CHECK(bytes <= credit_);
  credit_ -= bytes;
}

Status SendWindow::Granted(std::uint32_t bytes) {
  if (credit_ + bytes > (std::uint64_t{1} << 31)) {
    return MakeError(ErrorCode::kProtocol, "more credit than any receiver has");
  }
  credit_ += bytes;
  return OkStatus();
}

Status ReceiveWindow::Received(std::size_t bytes) {
  if (bytes > outstanding_) {
    return MakeError(ErrorCode::kProtocol, "more data than was allowed");
  }
  outstanding_ -= bytes;
  return OkStatus();
}

std::uint32_t ReceiveWindow::Consumed(std::size_t bytes) {
  consumed_ += bytes;
  if (consumed_ < kInitialCredit / 2) return 0;
  outstanding_ += consumed_;
  return static_cast<std::uint32_t>(std::exchange(consumed_, 0));
}

}  // namespace pyro::wire
