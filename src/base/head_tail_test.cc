#include "base/head_tail.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

TEST(HeadTailTest, KeepsShortTextWhole) {
  HeadTail text(4, 4);
  text.Append("ab");
  text.Append("cdefgh");
  EXPECT_FALSE(text.truncated());
  EXPECT_EQ(text.Text(), "abcdefgh");
}

TEST(HeadTailTest, CutsTheMiddleAndSaysHowMuch) {
  HeadTail text(3, 3);
  text.Append("0123456789");
  EXPECT_TRUE(text.truncated());
  EXPECT_EQ(text.total_bytes(), 10u);
  EXPECT_EQ(text.Text(), "012\n[… 4 bytes left out …]\n789");
}

TEST(HeadTailTest, AgreesWithOneBigAppendHoweverTheBytesArrive) {
  std::string all;
  for (int i = 0; i < 5000; ++i) all += static_cast<char>('a' + i % 26);
  HeadTail whole(100, 70);
  whole.Append(all);
  for (std::size_t step : {1u, 3u, 69u, 70u, 71u, 140u, 999u}) {
    HeadTail parts(100, 70);
    for (std::size_t i = 0; i < all.size(); i += step) parts.Append(all.substr(i, step));
    EXPECT_EQ(parts.Text(), whole.Text()) << "step " << step;
  }
}

TEST(HeadTailTest, NoEndIsCutWithinACharacter) {
  // Four characters of 3 bytes; each limit falls into the middle of one.
  HeadTail text(4, 5);
  text.Append("€€€€");
  EXPECT_EQ(text.Text(), "€\n[… 6 bytes left out …]\n€");
}

TEST(HeadTailTest, BytesThatAreNoTextLoseAtMostThreeOfEachEnd) {
  HeadTail text(8, 8);
  text.Append(std::string(100, '\xbf'));
  EXPECT_EQ(text.Text(),
            std::string(8, '\xbf') + "\n[… 87 bytes left out …]\n" + std::string(5, '\xbf'));
}

TEST(HeadTailTest, TailOnly) {
  HeadTail text(0, 2);
  text.Append("abc");
  EXPECT_EQ(text.Text(), "\n[… 1 bytes left out …]\nbc");
}

}  // namespace
}  // namespace pyro
