// Finds the intended word for a mistyped one.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyro {

// The number of letters to add, remove, exchange or swap with their neighbour that turns `a` into
// `b`.
std::size_t EditDistance(std::string_view a, std::string_view b);

// The candidate that begins with `word`, or the one that differs from it by the fewest letters: at
// most one in three, and at most 3. nullopt: no candidate is near.
std::optional<std::string> Nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

}  // namespace pyro
