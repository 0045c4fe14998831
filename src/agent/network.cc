#include "agent/network.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

ifreq Request(const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

Result<sys::UniqueFd> OpenSocket() {
  sys::UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return sys::ErrnoError(errno, "socket");
  return fd;
}

Status Raise(int fd, const std::string& interface) {
  ifreq request = Request(interface);
  if (::ioctl(fd, SIOCGIFFLAGS, &request) != 0) return sys::ErrnoError(errno, "read", interface);
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(fd, SIOCSIFFLAGS, &request) != 0) {
    return sys::ErrnoError(errno, "bring up", interface);
  }
  return OkStatus();
}

Result<sockaddr_in> ParseAddress(const std::string& text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (::inet_pton(AF_INET, text.c_str(), &address.sin_addr) != 1) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is not an IPv4 address", Printable(text)));
  }
  return address;
}

// A SIOCSIF… request whose argument is an address.
Status SetAddress(int fd, const std::string& interface, unsigned long request_code,
                  const sockaddr_in& address) {
  ifreq request = Request(interface);
  std::memcpy(&request.ifr_addr, &address, sizeof address);
  if (::ioctl(fd, request_code, &request) != 0) {
    return sys::ErrnoError(errno, "set the address of", interface);
  }
  return OkStatus();
}

Status SetMac(int fd, const std::string& interface, const std::string& mac) {
  unsigned char bytes[6];
  int used = 0;
  if (std::sscanf(mac.c_str(), "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &bytes[0], &bytes[1],
                  &bytes[2], &bytes[3], &bytes[4], &bytes[5], &used) != 6 ||
      static_cast<std::size_t>(used) != mac.size()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is not a MAC address", Printable(mac)));
  }
  ifreq request = Request(interface);
  if (::ioctl(fd, SIOCGIFHWADDR, &request) != 0) return sys::ErrnoError(errno, "read", interface);
  if (std::memcmp(request.ifr_hwaddr.sa_data, bytes, sizeof bytes) == 0) return OkStatus();
  std::memcpy(request.ifr_hwaddr.sa_data, bytes, sizeof bytes);
  if (::ioctl(fd, SIOCSIFHWADDR, &request) != 0) {
    return sys::ErrnoError(errno, "set the MAC address of", interface);
  }
  return OkStatus();
}

Status SetMtu(int fd, const std::string& interface, int mtu) {
  ifreq request = Request(interface);
  request.ifr_mtu = mtu;
  if (::ioctl(fd, SIOCSIFMTU, &request) != 0) {
    return sys::ErrnoError(errno, "set the MTU of", interface);
  }
  return OkStatus();
}

Result<std::string> FindEthernet(int fd) {
  std::string found;
  struct if_nameindex* const interfaces = ::if_nameindex();
  for (auto* entry = interfaces; entry != nullptr && entry->if_index != 0; ++entry) {
    ifreq request = Request(entry->if_name);
    if (found.empty() && ::ioctl(fd, SIOCGIFHWADDR, &request) == 0 &&
        request.ifr_hwaddr.sa_family == ARPHRD_ETHER) {
      found = entry->if_name;
    }
  }
  ::if_freenameindex(interfaces);
  if (found.empty()) {
    return MakeError(ErrorCode::kNotFound, "there is no ethernet interface",
                     "is the module virtio_net loaded?");
  }
  return found;
}

Status AddRoute(int fd, std::string interface, const sockaddr_in& destination,
                const sockaddr_in& mask, const sockaddr_in* gateway) {
  rtentry route{};
  std::memcpy(&route.rt_dst, &destination, sizeof destination);
  std::memcpy(&route.rt_genmask, &mask, sizeof mask);
  if (gateway != nullptr) std::memcpy(&route.rt_gateway, gateway, sizeof *gateway);
  route.rt_flags = static_cast<unsigned short>(gateway == nullptr ? RTF_UP : RTF_UP | RTF_GATEWAY);
  route.rt_dev = interface.data();
  if (::ioctl(fd, SIOCADDRT, &route) != 0 && errno != EEXIST) {
    return sys::ErrnoError(errno, "add a route to", interface);
  }
  return OkStatus();
}

}  // namespace

Status RaiseLoopback() {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, OpenSocket());
  return Raise(fd.get(), "lo");
}

Status ConfigureNetwork(const wire::GuestNetwork& network) {
  PYRO_ASSIGN_OR_RETURN(const sockaddr_in address, ParseAddress(network.address));
  PYRO_ASSIGN_OR_RETURN(const sockaddr_in gateway, ParseAddress(network.gateway));
  PYRO_RETURN_IF_ERROR(ParseAddress(network.dns));
  if (network.prefix_length < 1 || network.prefix_length > 32) {
    return MakeError(ErrorCode::kInvalidArgument, "the prefix length is not 1 to 32");
  }
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, OpenSocket());
  PYRO_ASSIGN_OR_RETURN(const std::string interface, FindEthernet(fd.get()));
  PYRO_RETURN_IF_ERROR(SetMac(fd.get(), interface, network.mac));
  PYRO_RETURN_IF_ERROR(SetMtu(fd.get(), interface, network.mtu));
  PYRO_RETURN_IF_ERROR(SetAddress(fd.get(), interface, SIOCSIFADDR, address));
  sockaddr_in mask = address;
  mask.sin_addr.s_addr = htonl(~std::uint32_t{0} << (32 - network.prefix_length));
  PYRO_RETURN_IF_ERROR(SetAddress(fd.get(), interface, SIOCSIFNETMASK, mask));
  PYRO_RETURN_IF_ERROR(Raise(fd.get(), interface));
  sockaddr_in any = address;
  any.sin_addr.s_addr = 0;
  if (((gateway.sin_addr.s_addr ^ address.sin_addr.s_addr) & mask.sin_addr.s_addr) != 0) {
    // A gateway outside the subnet, as clouds have it: say first that it is on this link.
    sockaddr_in host = address;
    host.sin_addr.s_addr = ~std::uint32_t{0};
    PYRO_RETURN_IF_ERROR(AddRoute(fd.get(), interface, gateway, host, nullptr));
  }
  PYRO_RETURN_IF_ERROR(AddRoute(fd.get(), interface, any, any, &gateway));
  return network.address6.empty() ? OkStatus() : ConfigureIpv6(interface, network);
}

}  // namespace pyro::agent
