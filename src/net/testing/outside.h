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
  static constexpr char kServerText[] = "198.51.100.2";
  static constexpr std::uint32_t kServer = 0xc6336402;
  static constexpr std::uint32_t kUs = 0xc6336401;
  // TCP: takes connections, and says "hello from outside\n" on each.
  static constexpr int kPort = 8080;
  // UDP port 53 answers every datagram with "answer:" and the datagram. /etc/resolv.conf names the
  // server.

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
