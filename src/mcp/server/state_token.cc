#include "mcp/server/state_token.h"

#include <utility>

#include "mcp/protocol/base64.h"
#include "mcp/protocol/crypto.h"
#include "sys/random.h"

namespace pyro::mcp {
namespace {

constexpr std::size_t kKeyBytes = 32;

Error RefusedToken() {
  return MakeError(ErrorCode::kInvalidArgument, "requestState is not of this server, or too old",
                   "call again without requestState and inputResponses");
}

}  // namespace

StateSealer::StateSealer(std::chrono::milliseconds lifetime, const Clock& clock)
    : StateSealer(lifetime, clock, sys::RandomBytes(kKeyBytes)) {}

StateSealer::StateSealer(std::chrono::milliseconds lifetime, const Clock& clock, std::string key)
    : lifetime_(lifetime), clock_(clock), key_(std::move(key)) {}

std::string StateSealer::Tag(std::string_view body, std::string_view binding) const {
  // The digest has a fixed length, so that no byte can move between body and binding.
  return EncodeBase64Url(HmacSha256(key_, Sha256(binding) + std::string(body)));
}

std::string StateSealer::Seal(const Json& payload, std::string_view binding) const {
  Json envelope = Json::object();
  envelope["expires"] = (clock_.Now() + lifetime_).time_since_epoch().count();
  envelope["payload"] = payload;
  const std::string body = EncodeBase64Url(ToJsonLine(envelope));
  return body + "." + Tag(body, binding);
}

Result<Json> StateSealer::Open(std::string_view token, std::string_view binding) const {
  const std::size_t dot = token.find('.');
  if (token.size() > kMaxStateBytes || dot == std::string_view::npos) return RefusedToken();
  const std::string_view body = token.substr(0, dot);
  if (!SecretsEqual(token.substr(dot + 1), Tag(body, binding))) return RefusedToken();
  const auto text = DecodeBase64Url(body);
  if (!text) return RefusedToken();
  auto envelope = ParseJson(*text);
  if (!envelope || !envelope->is_object() || !envelope->contains("payload")) return RefusedToken();
  const auto expires = GetInt(*envelope, "expires", 0, INT64_MAX);
  if (!expires || clock_.Now().time_since_epoch().count() > *expires) return RefusedToken();
  return std::move((*envelope)["payload"]);
}

}  // namespace pyro::mcp
