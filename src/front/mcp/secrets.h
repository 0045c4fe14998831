// The secrets that a server may use for its guests. Its user names them when it starts; a model
// knows them by their names alone, and chooses neither a place to read nor a host.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "pyro/result.h"

namespace pyro::mcp_server {

// As in VmOptions::secrets, by their names.
using OfferedSecrets = std::map<std::string, std::string>;

// kInvalidArgument: one has no name, or that of another.
Result<OfferedSecrets> OfferSecrets(const std::vector<std::string>& secrets);

// Of the schema of a tool that makes a guest.
Json SecretsProperty(const OfferedSecrets& offered);

// The member of a guest's description.
inline constexpr char kSecrets[] = "secrets";

// Of "NAME=PLACE for HOSTS", as a guest's description has them, the names.
Json NamesOfSecrets(const Json& secrets);

// The arguments of any tool, with whole secrets in the place of names. kInvalidArgument: a name is
// none of these.
Result<Json> WithSecrets(Json arguments, const OfferedSecrets& offered);

}  // namespace pyro::mcp_server
