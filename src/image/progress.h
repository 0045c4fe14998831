// The progress of a long operation, and its cancellation.

#pragma once

#include <functional>
#include <optional>
#include <string>

namespace pyro::image {

// A value. `phase` is one of: wait, check, update, download, extract, install, kernel, seal,
// verify, compress, write, done.
struct PullProgress {
  std::string phase;
  std::string detail;              // One line for people, printable; may be empty.
  std::optional<double> fraction;  // Of this phase, 0 to 1, where it can be known.
};

// Called in the thread that runs the operation, seldom more than a hundred times a second.
using ProgressFn = std::function<void(const PullProgress&)>;

// A descriptor that becomes readable when the operation is to stop; borrowed, never read. -1:
// cannot be stopped.
struct Cancellation {
  int fd = -1;
};

// True if the operation is to stop. Does not wait.
bool Cancelled(Cancellation cancel);

}  // namespace pyro::image
