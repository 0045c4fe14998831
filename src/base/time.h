// Points in time: the wall clock for stored and shown times, the steady clock for waiting.

#pragma once

#include <chrono>
#include <string>

namespace pyro {

using SteadyTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

// Lets tests set the wall clock.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime Now() const = 0;
};

// Thread-safe; lives forever.
const Clock& SystemClock();

// The moment at which a wait ends. A value.
class Deadline {
 public:
  static Deadline After(std::chrono::milliseconds wait) {
    return Deadline(std::chrono::steady_clock::now() + wait);
  }
  static Deadline Never() { return Deadline(SteadyTime::max()); }

  bool Expired() const { return std::chrono::steady_clock::now() >= at_; }

  // For poll(2): milliseconds left, rounded up, 0 when expired, -1 for never; capped at one hour.
  int PollTimeout() const;

  SteadyTime at() const { return at_; }

 private:
  explicit Deadline(SteadyTime at) : at_(at) {}

  SteadyTime at_;
};

// RFC 3339 in UTC with milliseconds: 2026-01-31T09:00:00.000Z.
std::string FormatTime(WallTime time);

}  // namespace pyro
