#include "agent/tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"
#include "wire/trees.h"

namespace pyro::agent {
namespace {

namespace fs = std::filesystem;

class TreeTest : public ::testing::Test {
 protected:
  TreeTest() {
    fs::create_directories(root_ / "d" / "e");
    Write(root_ / "a b", "text");
    Write(root_ / "d" / "x", std::string("nul\0", 4));
    Write(root_ / "line\nend", "");
    fs::create_symlink("../else", root_ / "d" / "l");
    ::mkfifo((root_ / "pipe").c_str(), 0600);
    ::chmod((root_ / "a b").c_str(), 04751);
  }
  static void Write(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string Content(int fd) {
    ::lseek(fd, 0, SEEK_SET);
    return *sys::ReadAll(fd, 1 << 24);
  }
  std::string Files(bool digest, const std::string& names) const {
    const auto in = *sys::MakeMemoryFile(names);
    const auto out = *sys::MakeMemoryFile("");
    EXPECT_TRUE(WriteFiles(root_.c_str(), digest, in.get(), out.get()).ok());
    return Content(out.get());
  }

  const sys::TestDirectory directory_;
  const fs::path root_ = directory_.path() / "root";
};

TEST_F(TreeTest, EverythingBelowIsListedAsItIs) {
  const auto out = *sys::MakeMemoryFile("");
  ASSERT_TRUE(WriteTree(root_.c_str(), out.get()).ok());
  const auto tree = wire::ReadTree(Content(out.get()));
  ASSERT_TRUE(tree.ok()) << tree.error().message;
  std::string names;
  for (const auto& [path, entry] : *tree) names += path + ":" + entry.type + " ";
  EXPECT_EQ(names, "a b:f d:d d/e:d d/l:l d/x:f line\nend:f pipe:o ");
  const wire::TreeEntry& file = tree->at("a b");
  EXPECT_EQ(file.mode, 04751);
  EXPECT_EQ(file.size, 4);
  struct stat info {};
  ASSERT_EQ(::stat((root_ / "a b").c_str(), &info), 0);
  EXPECT_EQ(file.inode, static_cast<std::int64_t>(info.st_ino));
  EXPECT_EQ(file.ctime % 1'000'000'000, info.st_ctim.tv_nsec);
  EXPECT_EQ(tree->at("d/l").target, "../else");
}

TEST_F(TreeTest, ContentsAndDigestsComeInTheOrderOfTheNames) {
  fs::create_symlink("d/x", root_ / "link");
  fs::create_directory_symlink("d", root_ / "dirlink");
  Write(root_ / "big", std::string(wire::kMaxShownFile + 1, 'x'));
  Write(directory_.path() / "outside", "secret");
  const std::string names =
      std::string("d/x\0a b\0none\0link\0dirlink/x\0../outside\0pipe\0d\0big\0", 50);
  const auto contents = wire::ReadContents(Files(false, names), 9);
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ((*contents)[0], std::string("nul\0", 4));
  EXPECT_EQ((*contents)[1], "text");
  for (std::size_t i = 2; i < 9; ++i) EXPECT_FALSE((*contents)[i]) << i;
  const auto digests = wire::ReadDigests(Files(true, names), 9);
  ASSERT_TRUE(digests.ok()) << digests.error().message;
  EXPECT_TRUE((*digests)[0] && (*digests)[1] && (*digests)[8]);
  EXPECT_NE((*digests)[0], (*digests)[1]);
  for (std::size_t i = 2; i < 8; ++i) EXPECT_FALSE((*digests)[i]) << i;
}

TEST_F(TreeTest, ADigestTellsEachByte) {
  const auto digest = [&](const std::string& text) {
    Write(root_ / "f", text);
    return Files(true, std::string("f\0", 2));
  };
  const std::string text(300'000, 'x');
  std::string other = text;
  EXPECT_EQ(digest(text), digest(other));
  other[270'001] = 'y';
  EXPECT_NE(digest(text), digest(other));
}

TEST_F(TreeTest, StepsAreCarriedOutAndTheStageIsGone) {
  fs::create_directory(root_ / ".stage");
  Write(root_ / ".stage" / "a b", "new");
  Write(root_ / ".stage" / "fresh", "fresh");
  const auto listed = *sys::MakeMemoryFile("");
  ASSERT_TRUE(WriteTree(root_.c_str(), listed.get()).ok());
  const auto tree = wire::ReadTree(Content(listed.get()));
  std::vector<TreeStep> steps(3);
  steps[0].path = "a b";
  steps[0].inode = tree->at("a b").inode;
  steps[0].ctime = tree->at("a b").ctime;
  steps[1].path = "d/x";  // Planned as new.
  steps[2].path = "fresh";
  const auto in = *sys::MakeMemoryFile(wire::WriteSteps(steps));
  const auto out = *sys::MakeMemoryFile("");
  const auto done = ApplySteps(root_.c_str(), ".stage", in.get(), out.get());
  ASSERT_TRUE(done.ok()) << done.error().message;
  const auto refused = wire::ReadRefusals(Content(out.get()), steps.size());
  ASSERT_TRUE(refused.ok() && refused->size() == 1);
  EXPECT_EQ((*refused)[0].step, 1U);
  EXPECT_EQ(*sys::ReadFile(root_ / "a b", 100), "new");
  EXPECT_EQ(*sys::ReadFile(root_ / "fresh", 100), "fresh");
  EXPECT_FALSE(fs::exists(root_ / ".stage"));
}

TEST_F(TreeTest, WhatIsNoDirectoryIsAnError) {
  const auto out = *sys::MakeMemoryFile("");
  EXPECT_FALSE(WriteFiles((root_ / "none").c_str(), false, out.get(), out.get()).ok());
  char tree[] = "tree";
  char* const words[] = {tree};
  EXPECT_EQ(RunTreeProgram(words), 2);
}

}  // namespace
}  // namespace pyro::agent
