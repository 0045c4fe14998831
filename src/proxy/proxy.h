// The proxy of one guest, as a process in a jail of its own: see server.h.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "jail/jail.h"
#include "proxy/config.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::proxy {

struct ProxyOptions {
  std::filesystem::path program;  // pyro-proxy.
  std::string identity;           // As of net::NetworkOptions.
  ProxyConfig config;             // Without `trust`, which is read from this host.
  // With routes of downloads: the directory of the cache, which belongs to JailCredentials() of
  // `identity`.
  sys::UniqueFd downloads;
};

// A running process; destroying it ends it. It also ends when the starting thread dies. Not
// thread-safe.
class Proxy {
 public:
  // Returns once it takes connections. kMissingTool: no bwrap, no pyro-proxy. kInvalidArgument: a
  // value that cannot be in a head of HTTP. kUnavailable: the message has its words.
  static Result<Proxy> Start(ProxyOptions options, Deadline deadline);

  // For NetworkOptions::proxy. Borrowed.
  int gate_socket() const { return gate_.get(); }
  void CloseGateSocket() { gate_.Reset(); }

  // What the guest must trust, one certificate in PEM.
  const std::string& certificate() const { return certificate_; }

  // From now on addresses of hosts are judged by this policy, with the host's networks of now.
  // `only_cached`: as of DownloadsConfig. kUnavailable: the proxy has ended.
  Status SetPolicy(const net::Policy& policy, const std::vector<net::ServedHost>& only_cached);

  // As those of net::Network.
  int denials_fd() const { return control_.get(); }
  Result<std::optional<net::Denial>> ReadDenial();

  // As net::Network::HowItEnded(): kProxyEnded or kForbiddenCall.
  net::Reason HowItEnded();

  pid_t pid() const { return process_.jail_pid(); }

 private:
  Proxy(sys::UniqueFd control, sys::UniqueFd gate, jail::JailedProcess process)
      : control_(std::move(control)), gate_(std::move(gate)), process_(std::move(process)) {}

  sys::UniqueFd control_;
  sys::UniqueFd gate_;
  jail::JailedProcess process_;
  std::string certificate_;
};

}  // namespace pyro::proxy
