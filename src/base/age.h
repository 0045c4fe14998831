// Ages for people.

#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/time.h"
#include "pyro/result.h"

namespace pyro {

// Parses the output of FormatTime; kInvalidArgument for any other text.
Result<WallTime> ParseTime(std::string_view text);

// In its largest whole unit: "8 s", "3 min", "5 h", "2 d". A negative age is "0 s".
std::string FormatAge(std::chrono::milliseconds age);

}  // namespace pyro
