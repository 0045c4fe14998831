// The guest's own wall clock: what it shows, how it is corrected, and whether a program set it.
//
// A clock that drifts, or stood still with its guest, is wrong; one that a program has set shows
// what that program wants. Both clocks of a kernel drift alike, and a step moves one of them alone.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "pyro/result.h"
#include "wire/messages.h"

namespace pyro::agent {

struct ClockReading {
  std::int64_t wall_clock_ns = 0;  // Since the epoch. 0: there is no clock to tell of.
  bool was_set = false;            // By a program, since this class last did.
};

// Not thread-safe.
class GuestClock {
 public:
  // Of the kernel; tests have others. Times are in nanoseconds.
  struct Calls {
    std::function<std::int64_t()> wall;        // Since the epoch.
    std::function<std::int64_t()> steady;      // Never stepped; a slew moves it too.
    std::function<Status(std::int64_t)> set;   // The wall clock, to this.
    std::function<Status(std::int64_t)> slew;  // Both, by this.
  };
  static Calls KernelCalls();

  explicit GuestClock(Calls calls = KernelCalls());

  // To so many nanoseconds since the epoch.
  Status Set(std::int64_t wall_clock_ns);

  // By as much as the host says. One that cannot be moved stays, and that is told once in a row.
  void Move(const wire::SetClock& by);

  ClockReading Read() const;

 private:
  struct Both {
    std::int64_t wall = 0;
    std::int64_t ahead = 0;  // Of the wall clock, against the steady one.
    std::int64_t doubt = 0;  // Of `ahead`.
  };
  Both ReadBoth() const;
  Status MoveBy(const wire::SetClock& by);

  Calls calls_;
  std::int64_t ahead_;  // After the last call of Set() or Move(), or from the beginning.
  std::string told_;    // Why it could not be moved, if that was the last that happened.
};

}  // namespace pyro::agent
