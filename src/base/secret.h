// A secret with its value, as it goes from a call of pyro to the supervisor and to the proxy of one
// guest: over pipes, never to a disk. Its reference, without the value, is stored.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/fields.h"
#include "pyro/result.h"

namespace pyro {

inline constexpr std::size_t kMaxSecrets = 16;
inline constexpr std::size_t kMaxSecretBytes = 4096;
// A shorter value would be found by chance in all kinds of output.
inline constexpr std::size_t kMinSecretBytes = 8;
inline constexpr std::size_t kMaxSecretHostsBytes = 4096;

struct SecretValue {
  std::string name;         // Of the variable in the guest.
  std::string placeholder;  // The variable's value there.
  std::string value;        // Printable ASCII.
  std::string hosts;        // "api.example:443", with spaces between.
};

inline constexpr Field kSecretValueFields[] = {
    Row<SecretValue, &SecretValue::name>("name").To(128),
    Row<SecretValue, &SecretValue::placeholder>("placeholder").To(128),
    Row<SecretValue, &SecretValue::value>("value").To(kMaxSecretBytes),
    Row<SecretValue, &SecretValue::hosts>("hosts").To(kMaxSecretHostsBytes),
};

// kInvalidArgument: no field of a head of HTTP may have it, or it is too short to be hidden. The
// message does not have it.
Status CheckSecretValue(std::string_view name, std::string_view value);

}  // namespace pyro
