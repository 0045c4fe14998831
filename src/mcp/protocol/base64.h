// Base64 (RFC 4648), strict: one text for one value.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pyro::mcp {

// Alphabet with + and /, padded.
std::string EncodeBase64(std::string_view bytes);
// nullopt: another alphabet, wrong or missing padding, unused bits that are set.
std::optional<std::string> DecodeBase64(std::string_view text);

// Alphabet with - and _, without padding; equally strict.
std::string EncodeBase64Url(std::string_view bytes);
std::optional<std::string> DecodeBase64Url(std::string_view text);

}  // namespace pyro::mcp
