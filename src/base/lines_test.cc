#include "base/lines.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

TEST(LinesTest, LinesOfAProgramBecomeOneSentence) {
  EXPECT_EQ(PrintableLines("tar: x: No such file\r\n\ntar: Exiting\x1b[1m \n"),
            "tar: x: No such file; tar: Exiting\\x1b[1m");
  EXPECT_EQ(PrintableLines("\n"), "");
  EXPECT_EQ(PrintableLines("abc\ndef", 5), "abc; d…");
}

}  // namespace
}  // namespace pyro
