// Signals of Linux by their names.

#pragma once

#include <string>
#include <string_view>

#include "pyro/result.h"

namespace pyro::engine {

// From 1 to 64. The text is a number or a name in any case, with or without SIG; those of real time
// are RTMIN, RTMIN+N, RTMAX and RTMAX-N. kInvalidArgument: there is none.
Result<int> ParseSignal(std::string_view text);

// Such as SIGTERM; of one without a name its number.
std::string NameOfSignal(int signal);

}  // namespace pyro::engine
