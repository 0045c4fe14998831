// Randomness from the kernel.

#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace pyro::sys {

// 128 bits for identifiers that cannot be guessed. Thread-safe; waits only before the kernel's
// pool is first filled.
std::array<std::uint8_t, 16> RandomBits();

// `count` random bytes (at most 256).
std::string RandomBytes(std::size_t count);

}  // namespace pyro::sys
