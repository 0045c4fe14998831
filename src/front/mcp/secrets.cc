#include "front/mcp/secrets.h"

#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::mcp_server {

Result<OfferedSecrets> OfferSecrets(const std::vector<std::string>& secrets) {
  OfferedSecrets offered;
  for (const std::string& one : secrets) {
    const std::string name = one.substr(0, one.find('='));
    if (name.empty() || name.size() == one.size() || !offered.emplace(name, one).second) {
      return MakeError(ErrorCode::kInvalidArgument, "a secret has no name, or that of another",
                       "write NAME=env:VARIABLE or NAME=file:PATH, and for which host");
    }
  }
  return offered;
}

Json SecretsProperty(const OfferedSecrets& offered) {
  Json names = Json::array();
  for (const auto& [name, text] : offered) names.push_back(name);
  return {{"type", "array"},
          {"items", {{"type", "string"}, {"enum", std::move(names)}}},
          {"description", "$NAME is sent to its hosts."}};
}

Json NamesOfSecrets(const Json& secrets) {
  Json names = Json::array();
  for (const Json& one : secrets) {
    const auto text = one.get<std::string>();
    names.push_back(text.substr(0, text.find('=')));
  }
  return names;
}

Result<Json> WithSecrets(Json arguments, const OfferedSecrets& offered) {
  const auto found = arguments.find(kSecrets);
  if (found == arguments.end() || !found->is_array()) return arguments;
  for (Json& one : *found) {
    const auto secret = one.is_string() ? offered.find(one.get<std::string>()) : offered.end();
    if (secret == offered.end()) {
      return MakeError(ErrorCode::kInvalidArgument, "this server has no secret of that name",
                       "only its user can give it one, as an argument of 'pyro mcp serve'");
    }
    one = secret->second;
  }
  return arguments;
}

}  // namespace pyro::mcp_server
