// Digests and comparison of secrets.

#pragma once

#include <string>
#include <string_view>

namespace pyro::mcp {

// 32 raw bytes each.
std::string Sha256(std::string_view bytes);
std::string HmacSha256(std::string_view key, std::string_view bytes);

// Takes the same time for any difference; only the length of `expected` matters.
bool SecretsEqual(std::string_view given, std::string_view expected);

}  // namespace pyro::mcp
