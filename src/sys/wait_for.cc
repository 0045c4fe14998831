#include "sys/wait_for.h"

#include <cerrno>

namespace pyro::sys {

Waited WaitFor(int fd, short events, Deadline deadline, int cancel_fd) {
  while (true) {
    pollfd polls[] = {{fd, events, 0}, {cancel_fd, POLLIN, 0}};
    const int ready = ::poll(polls, 2, deadline.PollTimeout());
    if (ready < 0 && errno == EINTR) continue;
    if (polls[1].revents != 0) return Waited::kCancelled;
    if (ready != 0) return Waited::kReady;
    if (deadline.Expired()) return Waited::kTimedOut;
  }
}

}  // namespace pyro::sys
