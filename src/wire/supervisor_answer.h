// The lines that a supervisor prints on its standard output for its creator: JSON objects.

#pragma once

#include <string>
#include <string_view>

#include "pyro/result.h"

namespace pyro::wire {

inline constexpr std::size_t kMaxAnswerBytes = 64 * 1024;

// It listens, or is done.
std::string FormatAnswer();
std::string FormatAnswer(const Error& why_not);

// OK, or the error in it. Any other text, as of a supervisor that died, is kInternal.
Status ParseAnswer(std::string_view line);

}  // namespace pyro::wire
