#include "wire/trees.h"

#include <string>

#include <gtest/gtest.h>

namespace pyro::wire {
namespace {

std::string Entry(const std::string& stat, const std::string& path,
                  const std::string& target = "") {
  return stat + '\0' + path + '\0' + target + '\0';
}

constexpr const char* kStat = "f 420 5 -1 17 9";

TEST(TreesTest, AnEntryIsReadWithEveryByteOfItsName) {
  const auto tree = ReadTree(Entry("d 493 0 1 1 3", "d") + Entry(kStat, "d/\xff\n x") +
                             Entry("l 511 2 3 4 5", "l", "/to"));
  ASSERT_TRUE(tree.ok()) << tree.error().message;
  ASSERT_EQ(tree->size(), 3U);
  const TreeEntry& one = tree->at("d/\xff\n x");
  EXPECT_EQ(one.type, 'f');
  EXPECT_EQ(one.mode, 0644);
  EXPECT_EQ(one.size, 5);
  EXPECT_EQ(one.mtime, -1);
  EXPECT_EQ(one.ctime, 17);
  EXPECT_EQ(one.inode, 9);
  EXPECT_EQ(tree->at("l").target, "/to");
  EXPECT_TRUE(ReadTree("")->empty());
}

TEST(TreesTest, AMalformedListIsRefused) {
  for (const std::string& text :
       {Entry("f 420 5 1 1", "a"), Entry("f 420 5 1 1 1 1", "a"), Entry("x 420 5 1 1 1", "a"),
        Entry("f 4096 5 1 1 1", "a"), Entry("f -1 5 1 1 1", "a"), Entry("f 420 -5 1 1 1", "a"),
        Entry("f 420 5 1 1 x", "a"), Entry(kStat, ""), Entry(kStat, "/a"), Entry(kStat, "a/"),
        Entry(kStat, "a//b"), Entry(kStat, "../a"), Entry(kStat, "a/./b"), Entry(kStat, ".."),
        Entry("l 511 2 3 4 5", "l", std::string(4096, 'x')), std::string(kStat),
        std::string("f 420 5 1 1 1\0a\0", 16)}) {
    const auto tree = ReadTree(text);
    EXPECT_EQ(tree ? ErrorCode::kInternal : tree.error().code, ErrorCode::kProtocol) << text;
  }
}

// Otherwise a guest could bring ".git/config", where ".git" is left out.
TEST(TreesTest, AFileIsInADirectoryThatWasTold) {
  const std::string directory = "d 493 0 1 1 3";
  for (const std::string& text :
       {Entry(kStat, "d/f"), Entry(kStat, "d/f") + Entry(directory, "d"),
        Entry(kStat, "d") + Entry(kStat, "d/f"),
        Entry("l 511 2 3 4 5", "d", "e") + Entry(kStat, "d/f"),
        Entry(directory, "d") + Entry(kStat, "d/e/f"),
        Entry(directory, "d") + Entry(kStat, "d/f") + Entry(kStat, "d")}) {
    const auto tree = ReadTree(text);
    EXPECT_EQ(tree ? ErrorCode::kInternal : tree.error().code, ErrorCode::kProtocol) << text;
  }
}

TEST(TreesTest, ContentsAreAsManyAndAsLongAsTheySay) {
  const auto contents = ReadContents("3\na\nb-\n0\n", 3);
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ((*contents)[0], "a\nb");
  EXPECT_FALSE((*contents)[1]);
  EXPECT_EQ((*contents)[2], "");
  EXPECT_FALSE(ReadContents("3\nabc", 2).ok());
  EXPECT_FALSE(ReadContents("3\nabcx", 1).ok());
  EXPECT_FALSE(ReadContents("4\nabc", 1).ok());
  EXPECT_FALSE(ReadContents("-3\nabc", 1).ok());
  const std::string large = std::to_string(kMaxShownFile + 1) + "\n";
  EXPECT_FALSE(ReadContents(large + std::string(kMaxShownFile + 1, 'x'), 1).ok());
}

TEST(TreesTest, DigestsAreAsManyAsWereAsked) {
  const auto digests = ReadDigests("18446744073709551615\n-\n", 2);
  ASSERT_TRUE(digests.ok()) << digests.error().message;
  EXPECT_EQ((*digests)[0], UINT64_MAX);
  EXPECT_FALSE((*digests)[1]);
  EXPECT_FALSE(ReadDigests("1\n", 2).ok());
  EXPECT_FALSE(ReadDigests("1\n2\n", 1).ok());
  EXPECT_FALSE(ReadDigests("x\n", 1).ok());
}

TEST(TreesTest, StepsAndRefusalsAreReadAsTheyWereWritten) {
  TreeStep remove;
  remove.what = TreeStep::What::kRemove;
  remove.path = "a\n\xff/b c";
  remove.inode = 7;
  remove.ctime = -5;
  TreeStep make;
  make.what = TreeStep::What::kDirectory;
  make.path = "d";
  make.mode = 0750;
  const auto steps = ReadSteps(WriteSteps({remove, make}));
  ASSERT_TRUE(steps.ok() && steps->size() == 2);
  EXPECT_EQ((*steps)[0].path, remove.path);
  EXPECT_EQ((*steps)[0].what, remove.what);
  EXPECT_EQ((*steps)[0].inode, 7);
  EXPECT_EQ((*steps)[0].ctime, -5);
  EXPECT_EQ((*steps)[1].what, make.what);
  EXPECT_EQ((*steps)[1].mode, 0750);
  const auto refused =
      ReadRefusals(WriteRefusals({{0, StepRefusal::kInTheWay}, {3, StepRefusal::kNotStaged}}), 4);
  ASSERT_TRUE(refused.ok() && refused->size() == 2);
  EXPECT_EQ((*refused)[0].why, StepRefusal::kInTheWay);
  EXPECT_EQ((*refused)[1].step, 3U);
}

TEST(TreesTest, MalformedStepsAndRefusalsAreRefused) {
  using std::string_literals::operator""s;
  for (const std::string& text :
       {"p 0 0 0\0../a\0"s, "p 0 0 0\0/a\0"s, "p 0 0 0\0a"s, "x 0 0 0\0a\0"s, "p 512 0 0\0a\0"s,
        "p -1 0 0\0a\0"s, "p 0 0\0a\0"s, "p 0 0 x\0a\0"s}) {
    EXPECT_FALSE(ReadSteps(text).ok()) << text;
  }
  for (const char* text :
       {"0 3\n", "0 -1\n", "4 0\n", "1 0\n1 0\n", "1 0\n0 0\n", "0 0", "0\n", "-1 0\n"}) {
    EXPECT_FALSE(ReadRefusals(text, 4).ok()) << text;
  }
}

}  // namespace
}  // namespace pyro::wire
