#include "sys/clock_steps.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "sys/errno_error.h"

namespace pyro::sys {

Result<UniqueFd> OpenClockSteps() {
  UniqueFd steps(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!steps.valid()) return ErrnoError(errno, "timerfd_create");
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<time_t>::max();
  constexpr int kFlags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
  if (::timerfd_settime(steps.get(), kFlags, &never, nullptr) != 0) {
    return ErrnoError(errno, "timerfd_settime");
  }
  return steps;
}

Result<bool> TakeClockStep(int steps) {
  char bytes[4096];
  const ssize_t n = ::read(steps, bytes, sizeof bytes);
  if (n > 0 || (n < 0 && errno == ECANCELED)) return true;
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  return ErrnoError(n == 0 ? EPIPE : errno, "read", "the clock's steps");
}

}  // namespace pyro::sys
