// What the supervisor gives the proxy at its start, one JSON object in memory: nothing of it is in
// arguments, in the environment or on a disk. And what the proxy says, one JSON object a packet.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "net/control.h"
#include "net/denials.h"
#include "proxy/secret.h"
#include "pyro/result.h"

namespace pyro::proxy {

// The cache of downloads; without routes there is none.
struct DownloadsConfig {
  std::string routes;       // As downloads::Routes writes them.
  std::string only_cached;  // NAME:PORT and spaces: what the cache does not take is refused there.
  std::int64_t max_bytes = 0;
};

struct ProxyConfig {
  std::vector<SecretValue> secrets;
  net::GateOrders orders;  // As the gate has them.
  std::string trust;       // Certificates of authorities, in PEM.
  DownloadsConfig downloads;
};

inline constexpr std::size_t kMaxProxyConfigBytes = 12 * 1024 * 1024;

std::string FormatProxyConfig(const ProxyConfig& config);
// kProtocol, kInvalidArgument.
Result<ProxyConfig> ParseProxyConfig(std::string_view text);

// For the heads of requests. kInvalidArgument: a value that no field of a head may have, or a host
// without a port.
Result<std::vector<Secret>> ToSecrets(const std::vector<SecretValue>& values);

// It takes connections; the certificate in PEM is what the guest must trust.
struct ProxyReady {
  std::string certificate;
};
using ProxySays = std::variant<ProxyReady, net::Denial>;

inline constexpr std::size_t kMaxSaysBytes = 16 * 1024;

std::string FormatReady(const ProxyReady& ready);
// A denial is as net::FormatDenial() writes it. kProtocol.
Result<ProxySays> ParseProxySays(std::string_view text);

}  // namespace pyro::proxy
