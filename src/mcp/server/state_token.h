// The requestState of an input_required result: the answers so far, kept by the client. The client
// can read it, but can neither change it nor use it in another call.

#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/time.h"
#include "pyro/result.h"

namespace pyro::mcp {

// Thread-safe. The key lives as long as this object.
class StateSealer {
 public:
  explicit StateSealer(std::chrono::milliseconds lifetime, const Clock& clock = SystemClock());
  // For tests.
  StateSealer(std::chrono::milliseconds lifetime, const Clock& clock, std::string key);

  // The token is valid for this `binding` only.
  std::string Seal(const Json& payload, std::string_view binding) const;
  // kInvalidArgument: not a token of this sealer and binding, or too old. At most kMaxStateBytes.
  Result<Json> Open(std::string_view token, std::string_view binding) const;

 private:
  std::string Tag(std::string_view body, std::string_view binding) const;

  const std::chrono::milliseconds lifetime_;
  const Clock& clock_;
  const std::string key_;
};

inline constexpr std::size_t kMaxStateBytes = 256 * 1024;

}  // namespace pyro::mcp
