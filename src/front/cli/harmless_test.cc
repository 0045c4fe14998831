#include "front/cli/harmless.h"

#include <gtest/gtest.h>

namespace pyro::cli {
namespace {

TEST(Harmless, OnlyNewlinesAndTabsAct) {
  EXPECT_EQ(Harmless("a\tb\nc\n"), "a\tb\nc\n");
  EXPECT_EQ(Harmless("\x1b]2;PWNED\x07x"), "\\x1b]2;PWNED\\x07x");
  EXPECT_EQ(Harmless("\xc2\x9b"
                     "31m"),
            "\\xc2\\x9b31m");
  EXPECT_EQ(Harmless("over\rwritten\n"), "over\\x0dwritten\n");
  EXPECT_EQ(Harmless("äö€𝄞\n"), "äö€𝄞\n");
  EXPECT_EQ(Harmless("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Harmless(""), "");
}

TEST(Harmless, ALineMayEndAsInWindows) { EXPECT_EQ(Harmless("a\r\nb\r\n"), "a\nb\n"); }

TEST(Harmless, PartsMayEndAnywhere) {
  const std::string whole = "äö€𝄞\x1b[31m\r\nx\xe2\x82|\r";
  for (std::size_t size = 1; size <= whole.size(); ++size) {
    HarmlessText text;
    std::string out;
    for (std::size_t at = 0; at < whole.size(); at += size) out += text.Add(whole.substr(at, size));
    out += text.Rest();
    EXPECT_EQ(out, "äö€𝄞\\x1b[31m\nx\\xe2\\x82|\\x0d") << size;
  }
}

}  // namespace
}  // namespace pyro::cli
