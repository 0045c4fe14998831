// The difference of two texts in the form of git.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pyro::engine {

// As git decides it: a NUL near its begin.
bool IsBinary(std::string_view content);

// The hunks of a unified diff, with three lines around each change; empty if the texts are equal.
// Texts that differ in more lines than can be compared soon are one hunk. So are those for which
// `work`, in pairs of lines, does not suffice; what others take is subtracted.
std::string UnifiedHunks(std::string_view before, std::string_view after,
                         std::uint64_t* work = nullptr);

// A path as git writes it: in quotes, with escapes, if it has bytes that need them.
std::string QuotedPath(std::string_view prefix, std::string_view path);

}  // namespace pyro::engine
