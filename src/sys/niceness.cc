#include "sys/niceness.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace pyro::sys {

Niceness::Niceness(int value) : value_(value), text_(std::to_string(value)) {}

void Niceness::Set() const {
  if (value_ == 0) return;
  if (::getpriority(PRIO_PROCESS, 0) < value_) (void)::setpriority(PRIO_PROCESS, 0, value_);
  const int session = ::open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
  if (session < 0) return;
  [[maybe_unused]] const ssize_t n = ::write(session, text_.data(), text_.size());
  ::close(session);
}

}  // namespace pyro::sys
