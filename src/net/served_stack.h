// TCP for the hosts that the proxy serves: connections of the guest end here and become sockets
// that the proxy gets. UDP and all else has no effect.

#pragma once

#include <poll.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "net/served.h"
#include "net/slirp_host.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::net {

class ServedStack {
 public:
  static constexpr std::size_t kMaxTargets = 1024;

  // `proxy` is the socket of packets to the proxy, and `hosts` the names; both are borrowed.
  // `directory`: where this may make a socket, which no other process reaches. kInternal,
  // kPermissionDenied.
  static Result<std::unique_ptr<ServedStack>> Make(int proxy, const ServedHosts& hosts,
                                                   const std::filesystem::path& directory,
                                                   SlirpHost::Deliver deliver);

  // A frame of the guest to an address of the network.
  void Input(Frame frame);

  // As of SlirpHost.
  void Fill(std::vector<pollfd>& polls, std::uint32_t& timeout) { host_->Fill(polls, timeout); }
  void Serve(const std::vector<pollfd>& polls, bool failed) { host_->Serve(polls, failed); }

 private:
  ServedStack(int proxy, const ServedHosts& hosts) : proxy_(proxy), hosts_(hosts) {}
  void Learn(Frame frame);
  void HandOver(Ipv4 address, std::uint16_t port);

  int proxy_;
  const ServedHosts& hosts_;
  std::filesystem::path path_;
  sys::UniqueFd listener_;
  std::unique_ptr<SlirpHost> host_;
  std::set<std::pair<Ipv4, std::uint16_t>> targets_;
  Mac guest_ = {};  // Of its card, as libslirp knows it.
};

}  // namespace pyro::net
