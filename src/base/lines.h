// What another program has said, for people.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pyro {

// On one line and harmless for a terminal: the lines without the empty ones, "; " between two, each
// as Printable() makes it. At most `max_bytes` of the text are shown.
std::string PrintableLines(std::string_view text, std::size_t max_bytes = 1000);

}  // namespace pyro
