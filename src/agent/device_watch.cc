#include "agent/device_watch.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "sys/errno_error.h"

namespace pyro::agent {
namespace {

// An event can be lost when the socket's buffer is full; ask now and then without one.
constexpr int kRecheckMs = 250;

}  // namespace

Result<DeviceWatch> DeviceWatch::Create() {
  sys::UniqueFd events(
      ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  if (!events.valid()) return sys::ErrnoError(errno, "listen to device events");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1;
  if (::bind(events.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return sys::ErrnoError(errno, "listen to device events");
  }
  return DeviceWatch(std::move(events));
}

Status DeviceWatch::Until(const std::function<bool()>& there, Deadline deadline) {
  while (!there()) {
    if (deadline.Expired()) return sys::ErrnoError(ETIMEDOUT, "wait for a device");
    pollfd poll{events_.get(), POLLIN, 0};
    ::poll(&poll, 1, std::min(deadline.PollTimeout(), kRecheckMs));
    char event[4096];
    while (::recv(events_.get(), event, sizeof event, 0) > 0) {
    }
  }
  return OkStatus();
}

}  // namespace pyro::agent
