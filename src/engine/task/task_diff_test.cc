#include "engine/task/task_diff.h"

#include <gtest/gtest.h>

namespace pyro::engine {
namespace {

using wire::Tree;
using wire::TreeEntry;

constexpr TreeEntry File(std::int64_t inode = 1) {
  return {.type = 'f', .mode = 0644, .size = 5, .mtime = 1, .ctime = 1, .inode = inode};
}

std::string Kinds(const TreeChanges& found) {
  std::string text;
  for (const TaskChange& one : found.changes) text += one.path + ":" + one.kind + " ";
  for (const std::string& one : found.unsure) text += "?" + one + " ";
  return text;
}

TEST(TaskDiffTest, WhatIsNewOrGoneIsTold) {
  EXPECT_EQ(Kinds(CompareTrees({}, {})), "");
  EXPECT_EQ(Kinds(CompareTrees({{"a", File()}, {"c", File(2)}}, {{"b", File(3)}, {"c", File(2)}})),
            "a:removed b:added ");
}

TEST(TaskDiffTest, TheSameInodeAndTimesAreTheSameFile) {
  TreeEntry touched = File();
  touched.ctime = 2;
  EXPECT_EQ(Kinds(CompareTrees({{"a", File()}}, {{"a", File()}})), "");
  // Its content must tell.
  EXPECT_EQ(Kinds(CompareTrees({{"a", File()}}, {{"a", touched}})), "a:modified ?a ");
  EXPECT_EQ(Kinds(CompareTrees({{"a", File()}}, {{"a", File(2)}})), "a:modified ?a ");
}

TEST(TaskDiffTest, AnotherSizeModeOrTypeIsAChange) {
  TreeEntry longer = File();
  longer.size = 6;
  TreeEntry program = File();
  program.mode = 0755;
  TreeEntry directory = File();
  directory.type = 'd';
  EXPECT_EQ(Kinds(CompareTrees({{"a", File()}}, {{"a", longer}})), "a:modified ");
  EXPECT_EQ(Kinds(CompareTrees({{"a", File()}}, {{"a", program}})), "a:modified ?a ");
  const auto found = CompareTrees({{"a", File()}}, {{"a", directory}});
  EXPECT_EQ(Kinds(found), "a:modified ");
  EXPECT_EQ(found.changes[0].old_type, "file");
  EXPECT_EQ(found.changes[0].type, "directory");
  EXPECT_EQ(found.changes[0].old_mode, "0644");
}

TEST(TaskDiffTest, ADirectoryIsNotChangedByItsContentNorALinkByItsTimes) {
  TreeEntry was = {.type = 'd', .mode = 0755, .size = 4096, .mtime = 1, .ctime = 1, .inode = 1};
  TreeEntry is = was;
  is.size = 8192;
  is.mtime = is.ctime = 2;
  EXPECT_EQ(Kinds(CompareTrees({{"a", was}}, {{"a", is}})), "");
  was.type = is.type = 'l';
  was.target = is.target = "x";
  EXPECT_EQ(Kinds(CompareTrees({{"a", was}}, {{"a", is}})), "");
  is.target = "y";
  EXPECT_EQ(Kinds(CompareTrees({{"a", was}}, {{"a", is}})), "a:modified ");
}

TEST(TaskDiffTest, PathsAreThoseBelowTheWorkspace) {
  using Paths = std::vector<std::string>;
  EXPECT_EQ(*PathsBelowWorkspace({}), Paths());
  EXPECT_EQ(*PathsBelowWorkspace({"src/", "/workspace/a/../b", "./c"}), (Paths{"src", "b", "c"}));
  EXPECT_EQ(*PathsBelowWorkspace({"src", "."}), Paths());
  for (const char* path : {"/etc", "..", "../x", "a/../../x", "/workspacex", ""}) {
    EXPECT_FALSE(PathsBelowWorkspace({path}).ok()) << path;
  }
}

}  // namespace
}  // namespace pyro::engine
