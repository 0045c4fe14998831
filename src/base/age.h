// How long ago something was, for people.

#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/time.h"
#include "pyro/result.h"

namespace pyro {

// What FormatTime gives; kInvalidArgument for anything else.
Result<WallTime> ParseTime(std::string_view text);

// In its largest whole unit: "8 s", "3 min", "5 h", "2 d". Less than nothing is "0 s".
std::string FormatAge(std::chrono::milliseconds age);

}  // namespace pyro
