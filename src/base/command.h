// A command and its end, as every floor has them. Plain data.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/killed.h"
#include "base/time.h"
#include "pyro/enums.h"

namespace pyro {

struct CommandSpec {
  std::vector<std::string> argv;  // Run without a shell. Any bytes but NUL. Empty: not kept.
  std::string cwd;                // Absolute.
  std::string user = {};          // As in pyro::Command; empty: the guest's root.
  std::int64_t timeout_ms = 0;    // From the command's start; 0: none.
};

// Why a command did not start, beside the errnos of exec(2): those are all below.
inline constexpr int kNoDirectory = 201;      // Its working directory does not exist.
inline constexpr int kCwdNotDirectory = 202;  // Something else is there.
inline constexpr int kNoUser = 203;           // The guest has no such user.
inline constexpr int kNoGroup = 204;          // The guest has no such group.
inline constexpr int kBadUsers = 205;  // The guest's files of users or groups cannot be used.

struct CommandEnd {
  Outcome outcome = Outcome::kExited;
  // Of kExited the exit code, of kSignalled the signal's number, of kNotStarted the errno of exec
  // or one of the numbers above; else 0. ELIBACC: the program is there, and the interpreter or
  // loader that it names is not.
  int code = 0;
  std::int64_t duration_us = 0;    // Measured where it ran, from exec to exit; 0: unknown.
  std::uint64_t stdout_bytes = 0;  // Bytes that it wrote.
  std::uint64_t stderr_bytes = 0;
  // Processes in the background still held stdout or stderr. What they wrote later was not kept.
  bool output_left_open = false;
  // Of one that timed out or was cancelled; empty: the guest did not tell.
  std::optional<KilledTree> killed;

  // The guest could not write its data disk out after it, or may not write to it any more.
  bool disk_failed = false;

  // The rest is set by the keeper of a journal.
  WallTime ended_at{};               // Of an interrupted one: the time when that was noticed.
  std::uint64_t stdout_dropped = 0;  // Bytes of it that are not in the journal.
  std::uint64_t stderr_dropped = 0;

  std::uint64_t kept_bytes() const {
    return stdout_bytes - stdout_dropped + (stderr_bytes - stderr_dropped);
  }

  // As a shell would report it: 124 timed out, 126 not executable, 127 not found, 128 + n killed by
  // signal n. A cancelled command counts as killed by SIGINT, an interrupted one as pyro's own
  // failure, 125.
  int ExitCode() const;
};

}  // namespace pyro
