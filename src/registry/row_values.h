// Values as the tables hold them, there and back. For the *_row files.

#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "pyro/enums.h"
#include "pyro/result.h"
#include "registry/instance_record.h"
#include "registry/instance_state.h"

namespace pyro::registry {

// How a table holds the values of an enum: by name.
template <typename Value>
struct StoredNames;

template <>
struct StoredNames<InstanceOwner> {
  static constexpr std::string_view kWhat = "owner";
  static constexpr std::array kAll = {InstanceOwner::kLease, InstanceOwner::kRun};
  static std::string_view Name(InstanceOwner owner) {
    return owner == InstanceOwner::kLease ? "lease" : "run";
  }
};

template <>
struct StoredNames<InstanceState> {
  static constexpr std::string_view kWhat = "state";
  static constexpr std::array kAll = {InstanceState::kCreated, InstanceState::kStarted,
                                      InstanceState::kStopped};
  static std::string_view Name(InstanceState state) { return pyro::Name(state); }
};

template <>
struct StoredNames<ExecutionMode> {
  static constexpr std::string_view kWhat = "execution mode";
  static constexpr std::array kAll = {ExecutionMode::kPending, ExecutionMode::kGuestVirtioSerial,
                                      ExecutionMode::kGuestVsock, ExecutionMode::kHostCompat};
  static std::string_view Name(ExecutionMode mode) { return pyro::Name(mode); }
};

template <>
struct StoredNames<Outcome> {
  static constexpr std::string_view kWhat = "outcome";
  static constexpr std::array kAll = {Outcome::kExited,     Outcome::kSignalled,
                                      Outcome::kTimedOut,   Outcome::kCancelled,
                                      Outcome::kNotStarted, Outcome::kInterrupted};
  static std::string_view Name(Outcome outcome) { return pyro::Name(outcome); }
};

// kDataLoss. `thing` names the kind of row: "VM".
Error BadRow(std::string_view thing, std::string_view what, std::string_view value);

// The value of that name. kDataLoss: there is none.
template <typename Value>
Result<Value> ParseName(std::string_view thing, std::string_view text) {
  for (const Value value : StoredNames<Value>::kAll) {
    if (StoredNames<Value>::Name(value) == text) return value;
  }
  return BadRow(thing, StoredNames<Value>::kWhat, text);
}

inline WallTime FromMs(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }
inline std::int64_t ToMs(WallTime time) { return time.time_since_epoch().count(); }

}  // namespace pyro::registry
