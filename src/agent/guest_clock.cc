#include "agent/guest_clock.h"

#include <sys/time.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <utility>

#include <fmt/format.h>

#include "agent/console.h"
#include "base/try.h"
#include "sys/errno_error.h"

namespace pyro::agent {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kNsPerMicrosecond = 1000;
// A difference of this much between two readings is a step. Slower clocks are read less exactly.
constexpr std::int64_t kStepNs = 10'000'000;
constexpr int kReadings = 5;

std::int64_t ReadKernelClock(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return time.tv_sec * kNsPerSecond + time.tv_nsec;
}

Status SetKernelClock(std::int64_t wall_ns) {
  const timespec time = {wall_ns / kNsPerSecond, wall_ns % kNsPerSecond};
  if (::clock_settime(CLOCK_REALTIME, &time) != 0) return sys::ErrnoError(errno, "clock_settime");
  return OkStatus();
}

Status SlewKernelClock(std::int64_t by_ns) {
  const std::int64_t microseconds = by_ns / kNsPerMicrosecond;
  const timeval by = {microseconds / 1'000'000, microseconds % 1'000'000};
  if (::adjtime(&by, nullptr) != 0) return sys::ErrnoError(errno, "adjtime");
  return OkStatus();
}

}  // namespace

GuestClock::Calls GuestClock::KernelCalls() {
  return {.wall = [] { return ReadKernelClock(CLOCK_REALTIME); },
          .steady = [] { return ReadKernelClock(CLOCK_MONOTONIC); },
          .set = &SetKernelClock,
          .slew = &SlewKernelClock};
}

GuestClock::GuestClock(Calls calls) : calls_(std::move(calls)), ahead_(ReadBoth().ahead) {}

// The guest may be held up between two readings: the closest ones count.
GuestClock::Both GuestClock::ReadBoth() const {
  Both best{.doubt = INT64_MAX};
  for (int i = 0; i < kReadings && best.doubt > kStepNs / 10; ++i) {
    const std::int64_t before = calls_.steady();
    const std::int64_t wall = calls_.wall();
    const std::int64_t doubt = calls_.steady() - before;
    if (doubt < best.doubt) best = {wall, wall - before - doubt / 2, doubt};
  }
  return best;
}

Status GuestClock::Set(std::int64_t wall_clock_ns) {
  PYRO_RETURN_IF_ERROR(calls_.set(wall_clock_ns));
  ahead_ = ReadBoth().ahead;
  return OkStatus();
}

Status GuestClock::MoveBy(const wire::SetClock& by) {
  if (by.slew) {
    PYRO_RETURN_IF_ERROR(calls_.slew(by.by_ns));
    ahead_ = ReadBoth().ahead;
    return OkStatus();
  }
  std::int64_t wall = 0;
  if (__builtin_add_overflow(calls_.wall(), by.by_ns, &wall) || wall < 0) {
    return sys::ErrnoError(EINVAL, "clock_settime");
  }
  return Set(wall);
}

void GuestClock::Move(const wire::SetClock& by) {
  const Status moved = MoveBy(by);
  if (moved) return told_.clear();
  std::string why = fmt::format("the clock cannot be corrected: {}", moved.error().message);
  if (why == told_) return;
  ConsoleLine(why);
  told_ = std::move(why);
}

ClockReading GuestClock::Read() const {
  const Both now = ReadBoth();
  return {now.wall, std::llabs(now.ahead - ahead_) > kStepNs + now.doubt};
}

}  // namespace pyro::agent
