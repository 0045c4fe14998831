// The names of files in a unified diff.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyro {

// A name in quotes, with git's escapes. Takes it from the text. nullopt: there is none.
std::optional<std::string> TakeQuoted(std::string_view& text);

// Without so many directories at its begin. nullopt: it has fewer.
std::optional<std::string_view> StripView(std::string_view name, std::int64_t count);
std::optional<std::string> StripDirectories(std::string_view name, std::int64_t count);

// What "diff -N" has behind the name of a file that is not there.
bool IsEpoch(std::string_view time);

}  // namespace pyro
