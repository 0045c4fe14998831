#include "proxy/config.h"

#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/host.h"

namespace pyro::proxy {
namespace {

struct Listed {
  std::vector<SecretValue> secrets;
  std::string trust;
  std::string orders;
  DownloadsConfig downloads;
};

constexpr std::int64_t kMostDownloadBytes = std::int64_t{1} << 50;

constexpr Field kConfigFields[] = {
    Row<Listed, &Listed::secrets>("secrets").Of(kSecretValueFields).To(kMaxSecrets),
    Row<Listed, &Listed::trust>("trust").To(sys::kMaxTrustBytes),
    Row<Listed, &Listed::orders>("orders").To(net::kMaxControlBytes),
    Row<Listed, &Listed::downloads, &DownloadsConfig::routes>("download_routes").To(64 * 1024),
    Row<Listed, &Listed::downloads, &DownloadsConfig::only_cached>("only_cached").To(64 * 1024),
    Row<Listed, &Listed::downloads, &DownloadsConfig::max_bytes>("downloads_max_bytes")
        .To(kMostDownloadBytes),
};

}  // namespace

std::string FormatProxyConfig(const ProxyConfig& config) {
  const Listed listed{config.secrets, config.trust, net::FormatGateOrders(config.orders),
                      config.downloads};
  return ToJsonLine(FieldsToJson(kConfigFields, &listed));
}

Result<ProxyConfig> ParseProxyConfig(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxProxyConfigBytes));
  Listed listed;
  PYRO_RETURN_IF_ERROR(ReadFields(kConfigFields, json, &listed));
  ProxyConfig config;
  PYRO_ASSIGN_OR_RETURN(config.orders, net::ParseGateOrders(listed.orders));
  config.secrets = std::move(listed.secrets);
  config.trust = std::move(listed.trust);
  config.downloads = std::move(listed.downloads);
  return config;
}

Result<std::vector<Secret>> ToSecrets(const std::vector<SecretValue>& values) {
  std::vector<Secret> secrets;
  for (const SecretValue& one : values) {
    PYRO_RETURN_IF_ERROR(CheckSecretValue(one.name, one.value));
    Secret secret{one.name, one.placeholder, one.value, {}};
    for (const std::string_view host : Split(one.hosts, ' ')) {
      PYRO_ASSIGN_OR_RETURN(net::ServedHost served, net::ParseServedHost(host));
      secret.hosts.push_back(std::move(served));
    }
    if (secret.placeholder.empty()) {
      return MakeError(ErrorCode::kInvalidArgument, "a secret has no placeholder");
    }
    secrets.push_back(std::move(secret));
  }
  return secrets;
}

std::string FormatReady(const ProxyReady& ready) {
  return ToJsonLine({{"certificate", ready.certificate}});
}

Result<ProxySays> ParseProxySays(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxSaysBytes));
  if (json.is_object() && json.contains("certificate")) {
    PYRO_ASSIGN_OR_RETURN(std::string certificate, GetString(json, "certificate", kMaxSaysBytes));
    return ProxySays(ProxyReady{std::move(certificate)});
  }
  PYRO_ASSIGN_OR_RETURN(net::Denial denial, net::ParseDenial(text));
  return ProxySays(std::move(denial));
}

}  // namespace pyro::proxy
