// A process recorded on disk. A pid is reused; with its start time and the boot it names one
// process for ever.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/json.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

struct ProcessRef {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  // Field 22 of /proc/PID/stat, clock ticks since boot.
  std::string boot_id;

  // kNotFound: no such process.
  static Result<ProcessRef> Of(pid_t pid);

  // A pidfd of exactly that process. kNotFound: it is gone, even if the pid names another one now.
  Result<UniqueFd> Open() const;

  Json ToJson() const;
  static Result<ProcessRef> FromJson(const Json& json);
};

// Sends through the pidfd. A process that is gone is no error.
Status SignalProcess(int pidfd, int signo);

}  // namespace pyro::sys
