// Flow control of one direction of one stream: the receiver grants the number of bytes that it can
// hold.

#pragma once

#include <cstddef>
#include <cstdint>

#include "pyro/result.h"
#include "wire/frame.h"

namespace pyro::wire {

// The sender's side. Not thread-safe.
class SendWindow {
 public:
  // Bytes that may be sent now.
  std::size_t available() const { return static_cast<std::size_t>(credit_); }

  // `bytes` must not exceed available().
  void Sent(std::size_t bytes);

  // kProtocol when the total would pass 2^31: no honest receiver allows that much.
  Status Granted(std::uint32_t bytes);

 private:
  std::uint64_t credit_ = kInitialCredit;
};

// The receiver's side: checks the sender and decides when to grant. Not thread-safe.
class ReceiveWindow {
 public:
  // kProtocol when the sender took more than it was granted.
  Status Received(std::size_t bytes);

  // The receiver has consumed `bytes`. Returns the credit to send now: 0 until half a window has
  // gathered, so that grants stay rare.
  std::uint32_t Consumed(std::size_t bytes);

 private:
  std::uint64_t outstanding_ = kInitialCredit;  // Granted and not yet received.
  std::uint64_t consumed_ = 0;                  // Consumed and not yet granted again.
};

}  // namespace pyro::wire
