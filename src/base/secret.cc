#include "base/secret.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro {

Status CheckSecretValue(std::string_view name, std::string_view value) {
  const bool printable =
      std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  if (printable && value.size() >= kMinSecretBytes && value.size() <= kMaxSecretBytes &&
      value.front() != ' ' && value.back() != ' ') {
    return OkStatus();
  }
  // The value itself must not be in the message.
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the secret {} cannot be sent in a field of HTTP", Printable(name)),
                   fmt::format("it must be one line of {} to {} printable characters of ASCII",
                               kMinSecretBytes, kMaxSecretBytes));
}

}  // namespace pyro
