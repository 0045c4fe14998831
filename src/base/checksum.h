// A checksum that finds damage. It does not stop forgery.

#pragma once

#include <cstdint>
#include <string_view>

namespace pyro {

// CRC-64 with the polynomial of ECMA-182, reflected (known as CRC-64/XZ).
std::uint64_t Crc64(std::string_view bytes);

}  // namespace pyro
