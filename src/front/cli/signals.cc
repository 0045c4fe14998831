#include "front/cli/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>

namespace pyro::cli {
namespace {

volatile sig_atomic_t caught = 0;
std::array<int, 2> pipe_fds = {-1, -1};

void OnSignal(int signo) {
  if (caught != 0) ::_exit(128 + signo);
  caught = signo;
  [[maybe_unused]] const ssize_t n = ::write(pipe_fds[1], "x", 1);
}

}  // namespace

int CatchSignals() {
  if (::pipe2(pipe_fds.data(), O_CLOEXEC | O_NONBLOCK) != 0) return -1;
  struct sigaction action {};
  action.sa_handler = OnSignal;
  for (const int signo : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    // Under nohup and in a shell's background a signal may be ignored on purpose.
    if (::sigaction(signo, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    ::sigaction(signo, &action, nullptr);
  }
  return pipe_fds[0];
}

int CaughtSignal() { return caught; }

}  // namespace pyro::cli
