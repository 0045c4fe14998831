// Waiting for a device to appear in a guest that has no udev.

#pragma once

#include <functional>

#include "base/time.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::agent {

class DeviceWatch {
 public:
  // Begins to listen to the kernel's device events.
  static Result<DeviceWatch> Create();

  // Calls `there` now and after every event, until it returns true. kTimedOut at the deadline.
  Status Until(const std::function<bool()>& there, Deadline deadline);

 private:
  explicit DeviceWatch(sys::UniqueFd events) : events_(std::move(events)) {}

  sys::UniqueFd events_;
};

}  // namespace pyro::agent
