// How much a process stands back for others.

#pragma once

#include <string>

namespace pyro::sys {

// Made before a fork, and set in the child.
class Niceness {
 public:
  Niceness() = default;
  explicit Niceness(int value);  // As in SpawnOptions.

  // Of this process, unless it has a higher one, and of its session where the kernel has one of
  // sessions (sched(7), "The autogroup feature"). Where the system refuses it, the process runs as
  // others do. Only async-signal-safe calls are made.
  void Set() const;

 private:
  int value_ = 0;
  std::string text_;
};

}  // namespace pyro::sys
