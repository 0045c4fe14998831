// Small pure functions on text.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace pyro {

// For a terminal or an error message: control characters and bytes that are not UTF-8 become
// escapes such as \x1b, and at most `max_bytes` of input are shown. What a guest or an image says
// is always passed through this.
std::string Printable(std::string_view text, std::size_t max_bytes = 200);

bool IsUtf8(std::string_view text);

// The longest beginning of at most `max_bytes` that ends no character in its middle.
std::string_view CutUtf8(std::string_view text, std::size_t max_bytes);

// A decimal integer of 64 bits, nothing around it. kInvalidArgument otherwise.
Result<std::int64_t> ParseInt(std::string_view text);

std::vector<std::string_view> Split(std::string_view text, char separator);

std::string_view TrimSpace(std::string_view text);

// 90.1 MiB and the like, for people.
std::string FormatBytes(std::uint64_t bytes);

// How a POSIX shell would have to be given these words: for messages, never for running.
std::string ShellJoin(const std::vector<std::string>& words);

}  // namespace pyro
