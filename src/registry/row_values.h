// Values as the tables hold them, there and back. For the *_row files.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"
#include "pyro/result.h"
#include "registry/vm_record.h"
#include "registry/vm_state.h"

namespace pyro::registry {

inline constexpr std::array kStoredStates = {VmState::kCreated, VmState::kStarted,
                                             VmState::kStopped};
inline constexpr std::array kExecutionModes = {
    ExecutionMode::kPending, ExecutionMode::kGuestVirtioSerial, ExecutionMode::kGuestVsock,
    ExecutionMode::kHostCompat};

// kDataLoss. `thing` names the kind of row: "VM".
Error BadRow(std::string_view thing, std::string_view what, std::string_view value);

// The value of that name. kDataLoss: there is none.
template <typename T>
Result<T> ParseName(std::string_view thing, std::string_view what, const std::string& text,
                    std::span<const T> all, std::string_view (*name)(T)) {
  for (const T value : all) {
    if (name(value) == text) return value;
  }
  return BadRow(thing, what, text);
}

inline WallTime FromMs(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }
inline std::int64_t ToMs(WallTime time) { return time.time_since_epoch().count(); }

}  // namespace pyro::registry
