// The guest's console: the only place for messages when the host cannot be reached.

#pragma once

#include <string_view>

namespace pyro::agent {

// One line, on standard error.
void ConsoleLine(std::string_view text);

}  // namespace pyro::agent
