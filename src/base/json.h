// JSON and CBOR with the limits that bytes from outside need.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "pyro/result.h"

namespace pyro {

using Json = nlohmann::json;

inline constexpr std::size_t kMaxJsonBytes = 4 * 1024 * 1024;
inline constexpr int kMaxNesting = 32;

// kProtocol: not JSON, longer than `max_bytes`, or nested deeper than kMaxNesting.
Result<Json> ParseJson(std::string_view text, std::size_t max_bytes = kMaxJsonBytes);

// kProtocol: not one whole CBOR item, nested deeper than kMaxNesting, or of indefinite length
// (which we never write). The bytes are walked before the library sees them, because its decoder
// recurses without a limit.
Result<Json> ParseCbor(std::span<const std::uint8_t> bytes);

std::string ToCbor(const Json& value);

// The form of all printed documents: two spaces, sorted keys, bytes that are not UTF-8 shown as
// U+FFFD.
std::string ToPrettyJson(const Json& value);

// The same on one line.
std::string ToJsonLine(const Json& value);

// Typed access to an object from outside. kProtocol when the key is missing or of another type.
Result<std::string> GetString(const Json& object, std::string_view key,
                              std::size_t max_bytes = 65536);
Result<std::int64_t> GetInt(const Json& object, std::string_view key, std::int64_t min,
                            std::int64_t max);
Result<bool> GetBool(const Json& object, std::string_view key);

}  // namespace pyro
