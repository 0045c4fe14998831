#include "base/checksum.h"

#include <string>

#include <gtest/gtest.h>

namespace pyro {
namespace {

TEST(ChecksumTest, IsTheOneThatOthersKnow) {
  EXPECT_EQ(Crc64("123456789"), 0x995dc9bbdf1939fa);
  EXPECT_EQ(Crc64(""), 0u);
}

TEST(ChecksumTest, EveryFlippedBitShows) {
  const std::string text(100, 'a');
  for (std::size_t i = 0; i < text.size() * 8; ++i) {
    std::string other = text;
    other[i / 8] = static_cast<char>(other[i / 8] ^ (1 << i % 8));
    EXPECT_NE(Crc64(other), Crc64(text)) << i;
  }
}

}  // namespace
}  // namespace pyro
