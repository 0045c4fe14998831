// A host network made for a test: the calling process gets a network namespace of its own, in which
// everything that is not local leads to a second one, with a server in it.

#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

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

  // Takes the only way to the outside away.
  Status Cut();

 private:
  explicit Outside(pid_t server) : server_(server) {}
  pid_t server_;
};

}  // namespace pyro::net
