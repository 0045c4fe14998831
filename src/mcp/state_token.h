// The requestState of an input_required result: what a handler already knows, kept by the client,
// who can read it but not change it nor use it elsewhere.

#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/time.h"
#include "pyro/result.h"

namespace pyro::mcp {

// Thread-safe. The key lives and dies with this object.
class StateSealer {
 public:
  explicit StateSealer(std::chrono::milliseconds lifetime, const Clock& clock = SystemClock());
  // For tests.
  StateSealer(std::chrono::milliseconds lifetime, const Clock& clock, std::string key);

  // `binding` says what the token is good for; any other finds it forged.
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
