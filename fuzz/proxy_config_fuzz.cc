// What the proxy is told, what it says, and what the gate tells it of a connection.

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "proxy/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto config = pyro::proxy::ParseProxyConfig(text)) {
    if (const auto secrets = pyro::proxy::ToSecrets(config->secrets)) {
      for (const auto& one : *secrets) {
        PYRO_CHECK(one.value.find('\r') == one.value.npos &&
                   one.value.find('\n') == one.value.npos);
      }
    }
    PYRO_CHECK(pyro::proxy::ParseProxyConfig(pyro::proxy::FormatProxyConfig(*config)).ok());
  }
  (void)pyro::proxy::ParseProxySays(text);
  if (const auto connection = pyro::net::ParseGuestConnection(text)) {
    const auto again =
        pyro::net::ParseGuestConnection(pyro::net::FormatGuestConnection(*connection));
    PYRO_CHECK(again.ok() && again->name == connection->name && again->port == connection->port);
  }
  return 0;
}
