// The guest's address of IPv6. Only netlink takes one that is used at once: others wait until the
// kernel has looked for it on the link, where no other card is.

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include <fmt/format.h>

#include "agent/network.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

constexpr int kWholeAddress = 128;

struct AddressMessage {
  nlmsghdr head;
  ifaddrmsg address;
  rtattr local_head;
  in6_addr local;
};

Result<in6_addr> ParseAddress6(const std::string& text) {
  in6_addr address{};
  if (::inet_pton(AF_INET6, text.c_str(), &address) != 1) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is not an IPv6 address", Printable(text)));
  }
  return address;
}

Status AddAddress(int interface, const in6_addr& address) {
  const sys::UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.valid()) return sys::ErrnoError(errno, "socket");
  AddressMessage message{};
  message.head.nlmsg_len = sizeof message;
  message.head.nlmsg_type = RTM_NEWADDR;
  message.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
  message.address.ifa_family = AF_INET6;
  message.address.ifa_prefixlen = kWholeAddress;
  message.address.ifa_flags = IFA_F_NODAD;
  message.address.ifa_index = static_cast<unsigned>(interface);
  message.local_head.rta_len = RTA_LENGTH(sizeof message.local);
  message.local_head.rta_type = IFA_LOCAL;
  message.local = address;
  if (::send(fd.get(), &message, sizeof message, 0) < 0) {
    return sys::ErrnoError(errno, "ask for an IPv6 address");
  }
  struct {
    nlmsghdr head;
    nlmsgerr error;
  } answer{};
  if (::recv(fd.get(), &answer, sizeof answer, 0) < static_cast<ssize_t>(sizeof answer) ||
      answer.head.nlmsg_type != NLMSG_ERROR) {
    return MakeError(ErrorCode::kInternal, "the kernel does not answer about an IPv6 address");
  }
  if (answer.error.error != 0) return sys::ErrnoError(-answer.error.error, "set an IPv6 address");
  return OkStatus();
}

Status AddRoute6(int fd, const in6_rtmsg& route) {
  if (::ioctl(fd, SIOCADDRT, &route) != 0 && errno != EEXIST) {
    return sys::ErrnoError(errno, "add a route of IPv6");
  }
  return OkStatus();
}

}  // namespace

Status ConfigureIpv6(const std::string& interface, const wire::GuestNetwork& network) {
  PYRO_ASSIGN_OR_RETURN(const in6_addr address, ParseAddress6(network.address6));
  PYRO_ASSIGN_OR_RETURN(const in6_addr gateway, ParseAddress6(network.gateway6));
  const sys::UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() && errno == EAFNOSUPPORT) return OkStatus();
  if (!fd.valid()) return sys::ErrnoError(errno, "socket");
  const int index = static_cast<int>(::if_nametoindex(interface.c_str()));
  PYRO_RETURN_IF_ERROR(AddAddress(index, address));
  in6_rtmsg route{};
  route.rtmsg_ifindex = index;
  route.rtmsg_metric = 1;
  route.rtmsg_flags = RTF_UP | RTF_HOST;
  route.rtmsg_dst = gateway;
  route.rtmsg_dst_len = kWholeAddress;
  PYRO_RETURN_IF_ERROR(AddRoute6(fd.get(), route));
  route.rtmsg_flags = RTF_UP | RTF_GATEWAY;
  route.rtmsg_dst = {};
  route.rtmsg_dst_len = 0;
  route.rtmsg_gateway = gateway;
  return AddRoute6(fd.get(), route);
}

}  // namespace pyro::agent
