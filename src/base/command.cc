#include "base/command.h"

#include <cerrno>
#include <csignal>

namespace pyro {

int CommandEnd::ExitCode() const {
  switch (outcome) {
    case Outcome::kExited:
      return code;
    case Outcome::kSignalled:
      return 128 + code;
    case Outcome::kTimedOut:
      return 124;
    case Outcome::kCancelled:
      return 128 + SIGINT;
    case Outcome::kNotStarted:
      return code == ENOENT || code == ENOTDIR || code == ELIBACC ? 127 : 126;
    case Outcome::kInterrupted:
      break;
  }
  return 125;
}

}  // namespace pyro
