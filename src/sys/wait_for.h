// Waiting for one descriptor.

#pragma once

#include <poll.h>

#include <chrono>

#include "base/time.h"

namespace pyro::sys {

enum class Waited { kReady, kTimedOut, kCancelled };

// Until `events` of poll(2) happen on `fd`, or it fails or its other end is closed: the caller's
// next call on it tells which. Ends also when `cancel_fd` becomes readable, which counts first; -1:
// it cannot be cancelled. A signal does not end it. `fd` may be -1, which is never ready.
Waited WaitFor(int fd, short events, Deadline deadline, int cancel_fd = -1);

// Without waiting; false for -1.
inline bool IsReady(int fd, short events = POLLIN) {
  return WaitFor(fd, events, Deadline::After(std::chrono::milliseconds(0))) == Waited::kReady;
}

}  // namespace pyro::sys
