#include "sys/random.h"

#include <sys/random.h>

#include <cstring>

#include "base/check.h"

namespace pyro::sys {

std::string RandomBytes(std::size_t count) {
  PYRO_CHECK(count <= 256);  // Up to 256 bytes getrandom(2) is neither short nor interrupted.
  std::string bytes(count, '\0');
  PYRO_CHECK(::getrandom(bytes.data(), count, 0) == static_cast<ssize_t>(count));
  return bytes;
}

std::array<std::uint8_t, 16> RandomBits() {
  const std::string bytes = RandomBytes(16);
  std::array<std::uint8_t, 16> bits{};
  std::memcpy(bits.data(), bytes.data(), bits.size());
  return bits;
}

}  // namespace pyro::sys
