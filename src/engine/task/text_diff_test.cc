#include "engine/task/text_diff.h"

#include <gtest/gtest.h>

namespace pyro::engine {
namespace {

std::string Numbers(int from, int to) {
  std::string text;
  for (int i = from; i <= to; ++i) text += std::to_string(i) + "\n";
  return text;
}

TEST(TextDiffTest, EqualTextsHaveNoHunk) {
  EXPECT_EQ(UnifiedHunks("", ""), "");
  EXPECT_EQ(UnifiedHunks("a\nb\n", "a\nb\n"), "");
}

TEST(TextDiffTest, AChangeHasThreeLinesAround) {
  EXPECT_EQ(UnifiedHunks(Numbers(1, 9), Numbers(1, 4) + "x\n" + Numbers(6, 9)),
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
}

TEST(TextDiffTest, ChangesThatAreSixLinesApartAreOneHunkAndSevenAreTwo) {
  const auto apart = [](int lines) {
    const std::string middle = Numbers(1, lines);
    return UnifiedHunks("a\n" + middle + "b\n", "x\n" + middle + "y\n");
  };
  EXPECT_EQ(apart(6), "@@ -1,8 +1,8 @@\n-a\n+x\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+y\n");
  EXPECT_EQ(apart(7), "@@ -1,4 +1,4 @@\n-a\n+x\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+y\n");
}

TEST(TextDiffTest, AnEmptySideCountsFromTheLineBefore) {
  EXPECT_EQ(UnifiedHunks("", "a\nb\n"), "@@ -0,0 +1,2 @@\n+a\n+b\n");
  EXPECT_EQ(UnifiedHunks("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
}

TEST(TextDiffTest, WithoutWorkLeftAllLinesThatDifferGoAndCome) {
  std::uint64_t work = 17;
  const auto told = [&] { return UnifiedHunks("0\na\nx\nb\n", "0\nc\nx\nd\n", &work); };
  EXPECT_EQ(told(), "@@ -1,4 +1,4 @@\n 0\n-a\n+c\n x\n-b\n+d\n");
  EXPECT_EQ(work, 8u);
  EXPECT_EQ(told(), "@@ -1,4 +1,4 @@\n 0\n-a\n-x\n-b\n+c\n+x\n+d\n");
  EXPECT_EQ(work, 8u);
}

TEST(TextDiffTest, AMissingNewlineIsTold) {
  EXPECT_EQ(UnifiedHunks("a", "a\n"), "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
  EXPECT_EQ(UnifiedHunks("a\nb", "x\nb"),
            "@@ -1,2 +1,2 @@\n-a\n+x\n b\n\\ No newline at end of file\n");
}

TEST(TextDiffTest, LinesThatMoveAreFoundAgain) {
  EXPECT_EQ(UnifiedHunks("a\nb\nc\nd\n", "b\nc\nx\nd\n"), "@@ -1,4 +1,4 @@\n-a\n b\n c\n+x\n d\n");
}

TEST(TextDiffTest, TextsThatDifferTooMuchAreOneHunk) {
  const std::string hunks = UnifiedHunks(Numbers(1, 50'000), Numbers(100'000, 150'000));
  EXPECT_TRUE(hunks.starts_with("@@ -1,50000 +1,50001 @@\n-1\n")) << hunks.substr(0, 60);
  // A small change in a long text is found nevertheless.
  EXPECT_EQ(UnifiedHunks(Numbers(1, 50'000), Numbers(1, 49'999) + "x\n"),
            "@@ -49997,4 +49997,4 @@\n 49997\n 49998\n 49999\n-50000\n+x\n");
}

TEST(TextDiffTest, ANulNearTheBeginIsBinary) {
  EXPECT_TRUE(IsBinary(std::string("a\0b", 3)));
  EXPECT_FALSE(IsBinary(std::string(8000, 'x') + '\0'));
  EXPECT_FALSE(IsBinary("\xff\xfe"));
}

TEST(TextDiffTest, ANameWithOtherBytesIsQuoted) {
  EXPECT_EQ(QuotedPath("a/", "x y"), "a/x y");
  EXPECT_EQ(QuotedPath("a/", "x\n\"\\\xc3\xa4"), R"("a/x\012\"\\\303\244")");
}

}  // namespace
}  // namespace pyro::engine
