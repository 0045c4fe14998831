#include "proxy/config.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::proxy {
namespace {

struct Listed {
  std::vector<SecretValue> secrets;
  std::string trust;
  std::string orders;
};

constexpr Field kConfigFields[] = {
    Row<Listed, &Listed::secrets>("secrets").Of(kSecretValueFields).To(kMaxSecrets),
    Row<Listed, &Listed::trust>("trust").To(kMaxTrustBytes),
    Row<Listed, &Listed::orders>("orders").To(net::kMaxControlBytes),
};

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

std::string FormatProxyConfig(const ProxyConfig& config) {
  const Listed listed{config.secrets, config.trust, net::FormatGateOrders(config.orders)};
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
  return config;
}

Result<std::vector<Secret>> ToSecrets(const std::vector<SecretValue>& values) {
  std::vector<Secret> secrets;
  for (const SecretValue& one : values) {
    // The message must not have the value.
    if (one.value.size() < kMinSecretBytes || !IsPrintable(one.value) || one.value.front() == ' ' ||
        one.value.back() == ' ') {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("the value of the secret {} cannot be in a head of HTTP",
                                   Printable(one.name)),
                       fmt::format("it must be {} to {} printable characters of ASCII on one line",
                                   kMinSecretBytes, kMaxSecretBytes));
    }
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
