#include "base/unified_diff.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace pyro {
namespace {

std::string Numbered(int first, int last) {
  std::string text;
  for (int i = first; i <= last; ++i) text += fmt::format("line {}\n", i);
  return text;
}

// What it returns has views of the text.
FileDiff Only(std::string_view text, const DiffOptions& options = {}) {
  const auto diff = ParseDiff(text, options);
  EXPECT_TRUE(diff.ok()) << diff.error().message;
  if (!diff) return {};
  EXPECT_EQ(diff->files.size(), 1u);
  return diff->files.at(0);
}

Error Refused(const std::string& text, const DiffOptions& options = {}) {
  const auto diff = ParseDiff(text, options);
  EXPECT_FALSE(diff.ok()) << text;
  return diff ? Error() : diff.error();
}

std::string Applied(const std::string& text, std::string_view content) {
  const FileDiff file = Only(text);
  const auto applied = ApplyDiff(file, content);
  return applied ? applied->content : "error: " + applied.error().message;
}

// A change of line 5 of Numbered(1, 9).
const char* const kChange =
    "--- a/dir/f\n"
    "+++ b/dir/f\n"
    "@@ -2,7 +2,7 @@ heading\n"
    " line 2\n"
    " line 3\n"
    " line 4\n"
    "-line 5\n"
    "+line five\n"
    " line 6\n"
    " line 7\n"
    " line 8\n";

TEST(UnifiedDiffTest, AHunkIsFoundAtItsLineOrAtTheNearestOther) {
  const FileDiff file = Only(kChange);
  EXPECT_EQ(file.kind, DiffKind::kModified);
  EXPECT_EQ(file.new_path, "dir/f");
  const std::string after = Numbered(1, 4) + "line five\n" + Numbered(6, 9);
  const auto applied = ApplyDiff(file, Numbered(1, 9));
  ASSERT_TRUE(applied.ok()) << applied.error().message;
  EXPECT_EQ(applied->content, after);
  EXPECT_TRUE(applied->offsets.empty());
  EXPECT_EQ(file.added, 1);
  EXPECT_EQ(file.removed, 1);
  const auto moved = ApplyDiff(file, "new\nnew\n" + Numbered(1, 9));
  ASSERT_TRUE(moved.ok()) << moved.error().message;
  EXPECT_EQ(moved->content, "new\nnew\n" + after);
  ASSERT_EQ(moved->offsets.size(), 1u);
  EXPECT_EQ(moved->offsets[0].hunk, 1);
  EXPECT_EQ(moved->offsets[0].lines, 2);
  // Of two places, the nearer one.
  const auto twice = ApplyDiff(file, Numbered(1, 9) + "x\n" + Numbered(1, 9));
  EXPECT_EQ(twice->content, after + "x\n" + Numbered(1, 9));
}

TEST(UnifiedDiffTest, AHeaderOfManyWordsTakesNoLongerThanItsLength) {
  std::string header = "diff --git a/f";
  for (int i = 0; i < 2'000'000; ++i) header += " f";
  const std::string whole = header + "\n" + kChange;
  const FileDiff file = Only(whole);
  EXPECT_EQ(file.new_path, "dir/f");
  std::string words = "a/";
  for (int i = 0; i < 2'000; ++i) words += "a ";
  words += "f";
  const FileDiff deleted =
      Only("diff --git " + words + " b" + words.substr(1) + "\ndeleted file mode 100644\n");
  EXPECT_EQ(deleted.old_path, words.substr(2));
}

TEST(UnifiedDiffTest, AHunkThatIsNowhereSaysWhatIsThereInstead) {
  const FileDiff file = Only(kChange);
  const auto told = [&](const std::string& content) {
    const auto applied = ApplyDiff(file, content);
    EXPECT_FALSE(applied.ok());
    EXPECT_EQ(applied.error().code, ErrorCode::kConflict);
    EXPECT_EQ(applied.error().path, "dir/f");
    return applied.error().message;
  };
  EXPECT_EQ(
      told(Numbered(1, 4) + "other\n" + Numbered(6, 9)),
      "hunk 1 of 1 of 'dir/f' does not apply: line 5 is 'other', where the hunk has 'line 5'");
  EXPECT_EQ(told(Numbered(1, 6)),
            "hunk 1 of 1 of 'dir/f' does not apply: the file ends before line 7, where the hunk "
            "has 'line 7'");
  // White space counts.
  EXPECT_EQ(told(Numbered(1, 4) + "line 5\r\n" + Numbered(6, 9)),
            "hunk 1 of 1 of 'dir/f' does not apply: line 5 is 'line 5\\x0d', where the hunk has "
            "'line 5'");
  const auto again = ApplyDiff(file, Numbered(1, 4) + "line five\n" + Numbered(6, 9));
  EXPECT_EQ(again.error().hint, "the file has this change already");
}

TEST(UnifiedDiffTest, LaterHunksGoWithEarlierOnesAndNeverBeforeThem) {
  const std::string text =
      "--- a/f\n+++ b/f\n"
      "@@ -1,2 +1,3 @@\n+first\n line 1\n line 2\n"
      "@@ -8,2 +9,1 @@\n line 8\n-line 9\n";
  EXPECT_EQ(Applied(text, Numbered(1, 9)), "first\n" + Numbered(1, 8));
  const FileDiff file = Only(
      "--- a/f\n+++ b/f\n"
      "@@ -5,3 +5,3 @@\n line 5\n-line 6\n+six\n line 7\n"
      "@@ -1,3 +1,3 @@\n line 1\n-line 2\n+two\n line 3\n");
  EXPECT_EQ(ApplyDiff(file, Numbered(1, 9)).error().code, ErrorCode::kConflict);
}

TEST(UnifiedDiffTest, AHunkWithoutContextAtAnEndBelongsThere) {
  const std::string text = "--- a/f\n+++ b/f\n@@ -8,2 +8,3 @@\n line 8\n line 9\n+line 10\n";
  EXPECT_EQ(Applied(text, Numbered(1, 9)), Numbered(1, 10));
  EXPECT_EQ(Applied(text, "new\n" + Numbered(1, 9)), "new\n" + Numbered(1, 10));
  EXPECT_EQ(Applied(text, Numbered(1, 11)),
            "error: hunk 1 of 1 of 'f' does not apply: the file goes on at line 10, where the hunk "
            "wants its end");
  // One without any context has its own line alone.
  const std::string bare = "--- a/f\n+++ b/f\n@@ -5 +5 @@\n-line 5\n+five\n";
  EXPECT_EQ(Applied(bare, Numbered(1, 9)), Numbered(1, 4) + "five\n" + Numbered(6, 9));
  EXPECT_TRUE(Applied(bare, "new\n" + Numbered(1, 9)).starts_with("error: "));
  EXPECT_TRUE(Applied("--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+x\n", "y\n").starts_with("error: "));
  EXPECT_EQ(Applied("--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+x\n", ""), "x\n");
}

TEST(UnifiedDiffTest, NewlinesAtTheEndCount) {
  const std::string text =
      "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n+two\n";
  EXPECT_EQ(Applied(text, "one\ntwo"), "one\ntwo\n");
  EXPECT_EQ(Applied(text, "one\ntwo\n"),
            "error: hunk 1 of 1 of 'f' does not apply: the newline at the end of line 2 is on one "
            "side alone");
  EXPECT_EQ(Applied("--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\n-two\n+two\n\\ No newline at end\n",
                    "one\ntwo\n"),
            "one\ntwo");
  EXPECT_EQ(Applied("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-two\n+zwei\n\\ Kein Zeilenumbruch am "
                    "Dateiende.\n",
                    "two\n"),
            "zwei");
  // An empty line whose space went on the way, and a line that ends as in DOS.
  EXPECT_EQ(Applied("--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n\n-b\r\n+c\r\n", "a\n\nb\r\n"),
            "a\n\nc\r\n");
}

TEST(UnifiedDiffTest, GitsHeadersTellKindsNamesAndModes) {
  const FileDiff added = Only("diff --git a/x y b/x y\nnew file mode 100755\nindex 0..e\n");
  EXPECT_EQ(added.kind, DiffKind::kAdded);
  EXPECT_EQ(added.new_path, "x y");
  EXPECT_EQ(added.new_mode, 0100755);
  EXPECT_TRUE(added.hunks.empty());
  const FileDiff removed = Only(
      "diff --git a/f b/f\ndeleted file mode 120000\nindex 1..0\n"
      "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\\ No newline\n");
  EXPECT_EQ(removed.kind, DiffKind::kRemoved);
  EXPECT_EQ(removed.old_mode, 0120000);
  EXPECT_EQ(removed.old_path, "f");
  const FileDiff mode = Only("diff --git a/f b/f\nold mode 100644\nnew mode 100755\n");
  EXPECT_EQ(mode.kind, DiffKind::kModified);
  EXPECT_EQ(mode.new_mode, 0100755);
  const FileDiff renamed = Only(
      "diff --git a/old name b/new\nsimilarity index 90%\nrename from old name\nrename to "
      "new\nindex 1..2 100644\n--- a/old name\t\n+++ b/new\n@@ -1 +1 @@\n-x\n+y\n");
  EXPECT_EQ(renamed.kind, DiffKind::kRenamed);
  EXPECT_EQ(renamed.old_path, "old name");
  EXPECT_EQ(renamed.new_path, "new");
  EXPECT_EQ(renamed.hunks.size(), 1u);
  const FileDiff copied =
      Only("diff --git a/f b/g\nsimilarity index 100%\ncopy from f\ncopy to g\n");
  EXPECT_EQ(copied.kind, DiffKind::kCopied);
  const FileDiff quoted =
      Only("diff --git \"a/\\303\\244\\n\\\"\" \"b/\\303\\244\\n\\\"\"\nnew file mode 100644\n");
  EXPECT_EQ(quoted.new_path, "\xc3\xa4\n\"");
  const FileDiff plain = Only("diff --git f f\nnew file mode 100644\n", {.strip = 0});
  EXPECT_EQ(plain.new_path, "f");
}

TEST(UnifiedDiffTest, DiffsOfOtherProgramsTellNewFilesByTheirTime) {
  const FileDiff added = Only(
      "diff -ruN a/f b/f\n--- a/f\t1970-01-01 01:00:00.000000000 +0100\n"
      "+++ b/f\t2026-11-29 10:00:00.000000000 +0100\n@@ -0,0 +1 @@\n+x\n");
  EXPECT_EQ(added.kind, DiffKind::kAdded);
  const FileDiff removed = Only(
      "--- f\t2026-11-29 10:00:00 +0000\n+++ f\t1969-12-31 19:00:00 -0500\n@@ -1 +0,0 @@\n-x\n",
      {.strip = 0});
  EXPECT_EQ(removed.kind, DiffKind::kRemoved);
  const FileDiff emptied = Only(
      "--- a/f\t1970-01-01 00:00:01 +0000\n+++ b/f\t2026-11-29 10:00:00 +0000\n@@ -1 +0,0 @@\n-x\n");
  EXPECT_EQ(emptied.kind, DiffKind::kModified);
  const FileDiff kept = Only("--- f.orig\n+++ f\n@@ -1 +1 @@\n-x\n+y\n", {.strip = 0});
  EXPECT_EQ(kept.new_path, "f");
  EXPECT_EQ(Only("--- f\n+++ f.new\n@@ -1 +1 @@\n-x\n+y\n", {.strip = 0}).new_path, "f");
  const auto partial = ParseDiff(std::string("Only in b: other\n") + kChange, {});
  ASSERT_EQ(partial->notices.size(), 1u);
  EXPECT_EQ(partial->notices[0],
            "the patch does not have the content of what it calls 'Only in b: other'");
}

TEST(UnifiedDiffTest, AMailIsReadAndStripTakesDirectories) {
  const auto mail = ParseDiff(
      std::string("From 1 Mon Sep 17\nSubject: x\n---\n f | 2 +-\n\n") + kChange + "-- \n2.39.5\n",
      {});
  ASSERT_TRUE(mail.ok()) << mail.error().message;
  EXPECT_EQ(mail->files.size(), 1u);
  EXPECT_EQ(Only(kChange, {.strip = 2}).new_path, "f");
  EXPECT_EQ(Only(kChange, {.strip = 0}).new_path, "b/dir/f");
  EXPECT_EQ(Refused(kChange, {.strip = 3}).message,
            "line 1 of the patch: 'a/dir/f' has fewer than 3 directories to strip");
}

TEST(UnifiedDiffTest, TheReverseOfADiffUndoesIt) {
  const FileDiff file = Only(kChange, {.reverse = true});
  EXPECT_EQ(ApplyDiff(file, Numbered(1, 4) + "line five\n" + Numbered(6, 9))->content,
            Numbered(1, 9));
  EXPECT_EQ(Only("diff --git a/f b/f\nnew file mode 100755\n", {.reverse = true}).kind,
            DiffKind::kRemoved);
  EXPECT_EQ(Only("diff --git a/f b/g\nrename from f\nrename to g\n", {.reverse = true}).new_path,
            "f");
  EXPECT_EQ(Refused("diff --git a/f b/g\ncopy from f\ncopy to g\n", {.reverse = true}).path, "g");
}

TEST(UnifiedDiffTest, WhatCannotBeAppliedIsRefusedWithItsName) {
  const Error binary = Refused(
      "diff --git a/x.png b/x.png\nindex 1..2 100644\n"
      "Binary files a/x.png and b/x.png differ\n");
  EXPECT_EQ(binary.path, "x.png");
  EXPECT_EQ(binary.message,
            "line 3 of the patch: 'x.png' is a binary file, of which no patch is applied");
  EXPECT_EQ(Refused("diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 1\n").path,
            "x");
  EXPECT_EQ(Refused("Binary files a/d/x and b/d/x differ\n").path, "d/x");
  EXPECT_EQ(Refused("diff --git a/s b/s\nnew file mode 160000\n").path, "s");
  for (const char* name : {"/etc/passwd", "../x", "a/../b", "./x", "a//b", "x/"}) {
    const Error error =
        Refused(fmt::format("--- {}\n+++ {}\n@@ -1 +1 @@\n-x\n+y\n", name, name), {.strip = 0});
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(error.path, name);
  }
  EXPECT_NE(Refused("diff --git a/f b/g\nrename from f\nrename to ../g\n").message, "");
  EXPECT_EQ(Refused("").message, "the patch names no file");
  EXPECT_EQ(Refused("hello\n").message, "the patch names no file");
}

TEST(UnifiedDiffTest, AMalformedHunkIsRefusedWithItsLine) {
  const std::string head = "--- a/f\n+++ b/f\n";
  EXPECT_EQ(Refused(head + "@@ -1,2 +1 @@\n-x\n").message,
            "line 4 of the patch: the patch ends within a hunk");
  EXPECT_EQ(Refused(head + "@@ -1 +1 @@\n-x\n+y\n+z\n").message,
            "line 6 of the patch: a line behind the end of a hunk, whose numbers are too small");
  EXPECT_EQ(Refused(head + "@@ -1,2 +1,2 @@\n-x\nmail\n").message,
            "line 5 of the patch: a line of a hunk begins with no space, '-' or '+'");
  EXPECT_EQ(Refused(head + "@@ -1 +1,2 @@\n-x\n-y\n").message,
            "line 5 of the patch: a hunk has other lines than its header says");
  EXPECT_EQ(Refused(head + "@@ -1 +1\n-x\n+y\n").message,
            "line 3 of the patch: a hunk's header is malformed");
  EXPECT_EQ(Refused(head + "@@ -99999999999 +1 @@\n-x\n+y\n").message,
            "line 3 of the patch: a hunk's header is malformed");
  EXPECT_EQ(Refused("@@ -1 +1 @@\n-x\n+y\n").message,
            "line 1 of the patch: a hunk without the name of its file");
}

TEST(UnifiedDiffTest, ALineWithABackslashThatMarksNothingIsRefused) {
  const std::string hunk = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n+y\n";
  const std::string mark = "\\ No newline at end of file\n";
  const std::string next = "--- a/g\n+++ b/g\n@@ -1 +1 @@\n-x\n+y\n";
  EXPECT_TRUE(ParseDiff(hunk + mark + next, {}).ok());
  for (const std::string& bad : {std::string("\\\n"), std::string("\\ short\n"),
                                 std::string("\\x No newline at end\n"), mark + mark}) {
    for (const std::string& after : {std::string(), next}) {
      const auto parsed = ParseDiff(hunk + bad + after, {});
      ASSERT_FALSE(parsed.ok()) << bad;
      EXPECT_NE(parsed.error().message.find("marks no missing newline"), std::string::npos)
          << parsed.error().message;
      EXPECT_EQ(parsed.error().path, "f");
    }
  }
  EXPECT_FALSE(ParseDiff("--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n-x\n\\\n-y\n+z\n", {}).ok());
}

}  // namespace
}  // namespace pyro
