// Values as the tables hold them, there and back. For the *_row files.

#pragma once

#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "pyro/enums.h"
#include "pyro/result.h"
#include "state/instance/instance_record.h"
#include "state/instance/instance_state.h"

namespace pyro::state {

// "lease" and "run"; empty for a value that is neither.
std::string_view Name(InstanceOwner owner);

// What errors call a value of the type.
inline std::string_view WhatIs(InstanceOwner) { return "owner"; }
inline std::string_view WhatIs(InstanceState) { return "state"; }
inline std::string_view WhatIs(ExecutionMode) { return "execution mode"; }
inline std::string_view WhatIs(Outcome) { return "outcome"; }

// kDataLoss. `thing` names the kind of row: "VM".
Error BadRow(std::string_view thing, std::string_view what, std::string_view value);

// The value that Name() gives that name. kDataLoss: there is none.
template <typename Value>
Result<Value> ParseName(std::string_view thing, std::string_view text) {
  for (int i = 0; !Name(static_cast<Value>(i)).empty(); ++i) {
    if (Name(static_cast<Value>(i)) == text) return static_cast<Value>(i);
  }
  return BadRow(thing, WhatIs(Value{}), text);
}

inline WallTime FromMs(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }
inline std::int64_t ToMs(WallTime time) { return time.time_since_epoch().count(); }

}  // namespace pyro::state
