// A host network made for a test: the calling process gets a network namespace of its own, in which
// everything that is not local leads to a second one, with a server in it.

#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "net/addresses.h"
#include "pyro/result.h"

namespace pyro::net {

class Outside {
 public:
  // Behind a router, the same server as its neighbour.
  static constexpr char kServerText[] = "203.0.113.2";
  static constexpr std::uint32_t kServer = 0xcb007102;
  // On the LAN of what is the host here, kUs.
  static constexpr std::uint32_t kNeighbour = 0xc6336402;  // 198.51.100.2
  static constexpr std::uint32_t kUs = 0xc6336401;
  // A third address of the server.
  static constexpr std::uint32_t kOther = 0xcb007103;  // 203.0.113.3
  // The same server, and this host, once there is IPv6.
  static constexpr Address kServer6{0x20010db800cb0000, 2};  // 2001:db8:cb::2
  static constexpr Address kUs6{0x20010db800640000, 1};
  // TCP: takes connections, and says "hello from outside\n" on each.
  static constexpr int kPort = 8080;
  // TCP: says what it has read, up to a buffer of it.
  static constexpr int kEchoPort = 80;
  // /etc/resolv.conf names the server. Its UDP port 53 answers questions for the address of these
  // names: allowed.example and alias.example have kServer, other.example has kOther, lan.example
  // kNeighbour, and loop.example the loopback; moving.example has kServer in the first answer, and
  // kUs in the next ones. Others do not exist. It answers any other datagram with "answer:" and the
  // datagram.

  // Moves the calling thread for good. kUnavailable: the message says what is missing.
  static Result<std::unique_ptr<Outside>> Enter();
  ~Outside();

  // From now on IPv6 leads to the server, too.
  Status AddIpv6();

  // Takes the only way to the outside away.
  Status Cut();

 private:
  explicit Outside(pid_t server) : server_(server) {}
  pid_t server_;
};

}  // namespace pyro::net
