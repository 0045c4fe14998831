#include "interrupts.h"

#include <poll.h>
#include <pybind11/pybind11.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <map>

namespace pyro::python {
namespace {

namespace py = pybind11;

// What the handler looks at. A descriptor that was once here is never closed, because a handler may
// be about to write to it: it is used again when no call waits on it any more.
std::atomic<int> current_fd{-1};
std::atomic<pid_t> owner{0};  // A forked child shares the descriptors, and must not write to them.
struct sigaction before {};   // Written only while OnInterrupt is not installed.

// The GIL guards these.
std::map<int, int> calls;  // By descriptor.
bool installed = false;

void OnInterrupt(int signo, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const int fd = current_fd.load();
  if (fd >= 0 && owner.load() == ::getpid()) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(fd, &one, sizeof one);
  }
  errno = saved_errno;
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signo, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signo);
  }
}

bool Fired(int fd) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, 0) > 0;
}

// A descriptor that has not fired and that new calls may wait on; -1 if none is available.
int FreshDescriptor() {
  if (const int fd = current_fd.load(); fd >= 0 && !Fired(fd)) return fd;
  for (auto& [fd, count] : calls) {
    if (count != 0) continue;
    std::uint64_t drained = 0;
    [[maybe_unused]] const ssize_t n = ::read(fd, &drained, sizeof drained);
    return fd;
  }
  return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

bool PythonRaisesKeyboardInterrupt() {
  const py::module_ signals = py::module_::import("signal");
  return signals.attr("getsignal")(SIGINT).is(signals.attr("default_int_handler"));
}

bool Install() {
  if (installed) return true;
  if (::sigaction(SIGINT, nullptr, &before) != 0) return false;
  const bool handled = (before.sa_flags & SA_SIGINFO) != 0 ||
                       (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN);
  if (!handled) return false;
  struct sigaction ours = before;
  ours.sa_flags |= SA_SIGINFO;
  ours.sa_sigaction = OnInterrupt;
  installed = ::sigaction(SIGINT, &ours, nullptr) == 0;
  return installed;
}

void Uninstall() {
  struct sigaction now {};
  if (::sigaction(SIGINT, nullptr, &now) != 0) return;
  // The program may have put a handler of its own there meanwhile, which stays.
  if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == OnInterrupt) {
    ::sigaction(SIGINT, &before, nullptr);
  }
  installed = false;
}

}  // namespace

Interruptible::Interruptible() {
  if (owner.load() != ::getpid()) {
    current_fd.store(-1);
    calls.clear();
    owner.store(::getpid());
  }
  if (!PythonRaisesKeyboardInterrupt() || !Install()) return;
  fd_ = FreshDescriptor();
  if (fd_ < 0) return;
  ++calls[fd_];
  current_fd.store(fd_);
}

Interruptible::~Interruptible() {
  if (fd_ < 0 || owner.load() != ::getpid()) return;
  --calls[fd_];
  for (const auto& [fd, count] : calls) {
    if (count != 0) return;
  }
  Uninstall();
}

}  // namespace pyro::python
