// Small pure functions on text.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace pyro {

// For a terminal or an error message: control characters, also those of the text's direction, and
// bytes that are not UTF-8 become escapes such as \x1b. At most `max_bytes` of input are shown. All
// text from a guest or an image passes through this.
std::string Printable(std::string_view text, std::size_t max_bytes = 200);

bool IsUtf8(std::string_view text);

// The first control or format character, such as "U+202E"; empty: there is none. The joiners
// U+200C and U+200D are none of them.
std::string HiddenCharacter(std::string_view text);

// The longest prefix of at most `max_bytes` that does not end inside a character.
std::string_view CutUtf8(std::string_view text, std::size_t max_bytes);

// For text that was cut out of a longer one: without the part of a character at its end, or at its
// beginning. At most 3 bytes go; the rest of the text may be anything.
std::string_view WithoutCutEnd(std::string_view text);
std::string_view WithoutCutBegin(std::string_view text);

// Parses a decimal integer of 64 bits without any other character. kInvalidArgument otherwise.
Result<std::int64_t> ParseInt(std::string_view text);

std::vector<std::string_view> Split(std::string_view text, char separator);

std::string_view TrimSpace(std::string_view text);

// "registry.example:443", "[2001:db8::7]:443", or the host alone if the port is 0.
std::string WithPort(const std::string& host, std::int64_t port);

// For people, such as 90.1 MiB.
std::string FormatBytes(std::uint64_t bytes);

// These words quoted for a POSIX shell: for messages, never for running.
std::string ShellJoin(const std::vector<std::string>& words);

}  // namespace pyro
