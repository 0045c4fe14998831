#include "net/served_stack.h"

#include <slirp/libslirp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/try.h"
#include "net/bytes.h"
#include "net/packet.h"
#include "sys/errno_error.h"

namespace pyro::net {
namespace {

constexpr int kBacklog = 16;

SlirpConfig ServedConfig() {
  SlirpConfig config = {};
  config.version = 4;
  config.restricted = 1;
  config.in_enabled = true;
  config.vnetwork = InAddr(kServedNetwork);
  config.vnetmask = InAddr(kServedNetmask);
  config.vhost = InAddr(kServedGateway);
  config.vnameserver = InAddr(kServedResolver);
  config.if_mtu = kMtu;
  config.if_mru = kMtu;
  config.disable_host_loopback = true;
  config.disable_dhcp = true;
  return config;
}

// "10.0.2.15 is at", so that libslirp need not ask the guest.
std::string WhereTheGuestIs(const Mac& mac) {
  std::string frame(6, '\xff');
  frame.append(mac.begin(), mac.end());
  for (const int byte : {0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 2}) {
    frame.push_back(static_cast<char>(byte));
  }
  frame.append(mac.begin(), mac.end());
  Put32(frame, kGuest);
  frame.append(6, '\0');
  Put32(frame, kServedGateway);
  return frame;
}

Result<sys::UniqueFd> Listen(const std::filesystem::path& path) {
  sys::UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.valid()) return sys::ErrnoError(errno, "socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path) {
    return MakeError(ErrorCode::kInternal, "the path of the served hosts is too long");
  }
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), kBacklog) != 0) {
    return sys::ErrnoError(errno, "listen for the served hosts");
  }
  return listener;
}

// What does not go is dropped: the guest sees a connection that ends.
void SendSocket(int proxy, const std::string& text, int socket) {
  iovec part{const_cast<char*>(text.data()), text.size()};  // NOLINT: sendmsg only reads it
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof room;
  cmsghdr* extra = CMSG_FIRSTHDR(&message);
  extra->cmsg_level = SOL_SOCKET;
  extra->cmsg_type = SCM_RIGHTS;
  extra->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(extra), &socket, sizeof socket);
  (void)::sendmsg(proxy, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

Result<std::unique_ptr<ServedStack>> ServedStack::Make(int proxy, const ServedHosts& hosts,
                                                       const std::filesystem::path& directory,
                                                       SlirpHost::Deliver deliver) {
  auto stack = std::unique_ptr<ServedStack>(new ServedStack(proxy, hosts));
  stack->path_ = directory / "served";
  PYRO_ASSIGN_OR_RETURN(stack->listener_, Listen(stack->path_));
  PYRO_ASSIGN_OR_RETURN(stack->host_, SlirpHost::Make(ServedConfig(), std::move(deliver)));
  return stack;
}

void ServedStack::Learn(Frame frame) {
  Mac mac;
  std::copy_n(frame.begin() + 6, mac.size(), mac.begin());
  if (mac == guest_) return;
  guest_ = mac;
  const std::string told = WhereTheGuestIs(mac);
  host_->Input(AsBytes(told));
}

void ServedStack::Input(Frame frame) {
  const auto packet = ParsePacket(frame);
  if (!packet || packet->protocol != kTcp || packet->fragment) return;
  const Ipv4 address = packet->destination.v4();
  const std::uint16_t port = packet->destination_port;
  Learn(frame);
  if (!targets_.contains({address, port})) {
    if (targets_.size() >= kMaxTargets) return;
    in_addr there = InAddr(address);
    if (slirp_add_unix(host_->slirp(), path_.c_str(), &there, port) != 0) return;
    targets_.emplace(address, port);
  }
  host_->Input(frame);
  // libslirp connects within the call above: what is accepted here is this packet's connection.
  HandOver(address, port);
}

void ServedStack::HandOver(Ipv4 address, std::uint16_t port) {
  while (true) {
    const sys::UniqueFd socket(
        ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) return;
    const std::string* name = hosts_.NameAt(address);
    if (name == nullptr) continue;
    SendSocket(
        proxy_,
        FormatGuestConnection({.name = *name, .port = port, .tunnel = !hosts_.Serves(*name, port)}),
        socket.get());
  }
}

}  // namespace pyro::net
