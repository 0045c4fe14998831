#include "base/text.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

TEST(TextTest, PrintableDisarmsTerminals) {
  EXPECT_EQ(Printable("plain ü €"), "plain ü €");
  EXPECT_EQ(Printable("\x1b[31mred\n"), "\\x1b[31mred\\x0a");
  EXPECT_EQ(Printable("\xff\xc2\x9b\xed\xa0\x80"), "\\xff\\xc2\\x9b\\xed\\xa0\\x80");
  EXPECT_EQ(Printable("abcdef", 3), "abc…");
  EXPECT_EQ(Printable("a\u202Eb\u2066"), "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6");
}

TEST(TextTest, HiddenCharactersAreNamed) {
  using std::string_view_literals::operator""sv;
  EXPECT_EQ(HiddenCharacter("a\0b"sv), "U+0000");
  EXPECT_EQ(HiddenCharacter("two\nlines"), "U+000A");
  EXPECT_EQ(HiddenCharacter("ü\u202Egpj"), "U+202E");
  EXPECT_EQ(HiddenCharacter("\u2067"), "U+2067");
  EXPECT_EQ(HiddenCharacter("zero\u200Bwidth"), "U+200B");
  EXPECT_EQ(HiddenCharacter("\U000E0041"), "U+E0041");
  EXPECT_EQ(HiddenCharacter("nightly ü € 👩\u200D💻"), "");
  EXPECT_EQ(HiddenCharacter("\xff"), "");
}

TEST(TextTest, ParseIntTakesNothingElse) {
  EXPECT_EQ(*ParseInt("-12"), -12);
  for (const char* bad : {"", "1 ", " 1", "1.5", "0x10", "99999999999999999999", "one"}) {
    EXPECT_FALSE(ParseInt(bad).ok()) << bad;
  }
}

TEST(TextTest, ShellJoinQuotesWhatNeedsIt) {
  EXPECT_EQ(ShellJoin({"printf", "%s|", "a b", "", "*", "it's"}),
            "printf '%s|' 'a b' '' '*' 'it'\\''s'");
}

TEST(TextTest, SplitAndTrim) {
  EXPECT_EQ(Split("a,,b", ',').size(), 3u);
  EXPECT_EQ(TrimSpace(" \t x y\n"), "x y");
  EXPECT_EQ(TrimSpace(" "), "");
}

TEST(TextTest, FormatBytesForPeople) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(90ull << 20), "90.0 MiB");
}

}  // namespace
}  // namespace pyro
