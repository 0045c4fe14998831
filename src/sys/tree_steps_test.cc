#include "sys/tree_steps.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "sys/file_digest.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::sys {
namespace {

namespace fs = std::filesystem;
using What = TreeStep::What;

class TreeStepsTest : public ::testing::Test {
 protected:
  TreeStepsTest() {
    fs::create_directories(root_);
    fs::create_directories(stage_);
    fs::create_directories(scratch_.path() / "outside");
  }

  static void Write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string Read(const fs::path& path) { return *ReadFile(path, 1 << 20); }
  static unsigned ModeOf(const fs::path& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }

  // A step that expects what is there now.
  TreeStep Step(What what, const std::string& path, std::int64_t mode = 0) const {
    TreeStep step;
    step.what = what;
    step.path = path;
    step.mode = mode;
    struct stat info {};
    if (::lstat((root_ / path).c_str(), &info) != 0) return step;
    step.inode = static_cast<std::int64_t>(info.st_ino);
    step.ctime = info.st_ctim.tv_sec * 1'000'000'000 + info.st_ctim.tv_nsec;
    return step;
  }

  std::vector<RefusedStep> Do(const std::vector<TreeStep>& steps) const {
    const auto root = OpenFile(root_, O_RDONLY | O_DIRECTORY);
    const auto stage = OpenFile(stage_, O_RDONLY | O_DIRECTORY);
    const auto refused = CarryOutSteps(root->get(), stage->get(), steps, root_.native());
    EXPECT_TRUE(refused.ok()) << refused.error().message;
    return refused.ok() ? *refused : std::vector<RefusedStep>();
  }
  void ExpectRefused(const TreeStep& step, StepRefusal why) const {
    const auto refused = Do({step});
    ASSERT_EQ(refused.size(), 1U) << step.path;
    EXPECT_EQ(refused[0].why, why) << step.path;
  }

  const TestDirectory scratch_;
  const fs::path root_ = scratch_.path() / "root";
  const fs::path stage_ = scratch_.path() / "stage";
};

TEST_F(TreeStepsTest, FilesDirectoriesAndLinksTakeTheirPlaces) {
  Write(root_ / "old", "old");
  Write(root_ / "gone/x", "x");
  Write(stage_ / "old", "new");
  Write(stage_ / "a/b/c", "deep");
  Write(stage_ / "shut/in", "in");
  fs::create_symlink("/etc", stage_ / "link");
  EXPECT_TRUE(Do({Step(What::kRemove, "gone/x"), Step(What::kRemove, "gone"),
                  Step(What::kPlace, "a/b/c"), Step(What::kPlace, "link"),
                  Step(What::kPlace, "old"), Step(What::kDirectory, "shut", 0500),
                  Step(What::kPlace, "shut/in"), Step(What::kRemove, "never/there")})
                  .empty());
  EXPECT_EQ(Read(root_ / "old"), "new");
  EXPECT_EQ(Read(root_ / "a/b/c"), "deep");
  EXPECT_EQ(Read(root_ / "shut/in"), "in");
  EXPECT_EQ(ModeOf(root_ / "shut"), 0500U);
  EXPECT_EQ(fs::read_symlink(root_ / "link"), "/etc");
  EXPECT_FALSE(fs::exists(root_ / "gone"));
  EXPECT_TRUE(Do({Step(What::kDirectory, "shut", 0750)}).empty());
  EXPECT_EQ(ModeOf(root_ / "shut"), 0750U);
}

TEST_F(TreeStepsTest, WhatHasChangedSincePlanningIsLeft) {
  Write(root_ / "f", "planned");
  const TreeStep place = Step(What::kPlace, "f");
  const TreeStep remove = Step(What::kRemove, "f");
  const TreeStep fresh = Step(What::kPlace, "g");
  fs::remove(root_ / "f");
  Write(root_ / "f", "another");
  Write(root_ / "g", "another");
  Write(stage_ / "f", "new");
  Write(stage_ / "g", "new");
  ExpectRefused(place, StepRefusal::kChanged);
  ExpectRefused(remove, StepRefusal::kChanged);
  ExpectRefused(fresh, StepRefusal::kChanged);
  EXPECT_EQ(Read(root_ / "f") + Read(root_ / "g"), "anotheranother");
  fs::remove(root_ / "f");
  ExpectRefused(place, StepRefusal::kChanged);
  ExpectRefused(Step(What::kPlace, "missing"), StepRefusal::kNotStaged);
  fs::create_directory(stage_ / "d");
  ExpectRefused(Step(What::kPlace, "d"), StepRefusal::kNotStaged);
}

TEST_F(TreeStepsTest, NoLinkLeadsAStepOutOfTheTree) {
  const fs::path outside = scratch_.path() / "outside";
  Write(outside / "f", "untouched");
  fs::create_directory_symlink(outside, root_ / "way");
  fs::create_symlink(outside / "f", root_ / "file");
  Write(stage_ / "way/f", "evil");
  Write(stage_ / "way/g", "evil");
  Write(stage_ / "file", "new");
  ExpectRefused(Step(What::kPlace, "way/g"), StepRefusal::kInTheWay);
  TreeStep known = Step(What::kPlace, "way/f");
  ExpectRefused(known, StepRefusal::kInTheWay);
  known.what = What::kRemove;
  ExpectRefused(known, StepRefusal::kInTheWay);
  EXPECT_TRUE(Do({Step(What::kPlace, "file")}).empty());
  EXPECT_FALSE(fs::is_symlink(root_ / "file"));
  // A link of the stage leads nowhere either.
  fs::create_directory_symlink(outside, stage_ / "trap");
  ExpectRefused(Step(What::kPlace, "trap/f"), StepRefusal::kNotStaged);
  // A directory takes the place of a link that was planned for.
  EXPECT_TRUE(Do({Step(What::kDirectory, "way", 0755), Step(What::kPlace, "way/g")}).empty());
  EXPECT_EQ(Read(root_ / "way/g"), "evil");
  EXPECT_EQ(Read(outside / "f"), "untouched");
  EXPECT_FALSE(fs::exists(outside / "g"));
  const auto stage = OpenFile(stage_, O_RDONLY | O_DIRECTORY);
  EXPECT_FALSE(OpenBelow(stage->get(), "trap/f", O_RDONLY).valid());
  EXPECT_FALSE(OpenBelow(stage->get(), "trap", O_RDONLY).valid());
  EXPECT_FALSE(OpenBelow(stage->get(), "../outside/f", O_RDONLY).valid());
  EXPECT_FALSE(OpenBelow(stage->get(), "..", O_RDONLY).valid());
}

TEST_F(TreeStepsTest, ALinkThatTakesTheNameOfADirectoryGivesNoModeAway) {
  const fs::path outside = scratch_.path() / "outside";
  fs::create_directory(root_ / "d");
  fs::create_directory_symlink(outside, root_ / "other");
  // Shut, so that the step opens it and shuts it again.
  for (const fs::path& path : {outside, root_ / "d"}) fs::permissions(path, fs::perms(0500));
  const TreeStep step = Step(What::kDirectory, "d", 0500);
  std::atomic<bool> done = false;
  std::thread swapper([&] {
    const std::string a = root_ / "d";
    const std::string b = root_ / "other";
    while (!done) ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  });
  bool changed = false;
  for (int i = 0; i < 20'000 && !changed; ++i) {
    (void)Do({step});
    changed = ModeOf(outside) != 0500;
  }
  done = true;
  swapper.join();
  EXPECT_FALSE(changed);
}

TEST_F(TreeStepsTest, ADirectoryThatIsNotEmptyStays) {
  Write(root_ / "d/unknown", "x");
  fs::create_directory(root_ / "empty");
  Write(stage_ / "d", "file");
  Write(stage_ / "empty", "file");
  ExpectRefused(Step(What::kRemove, "d"), StepRefusal::kInTheWay);
  ExpectRefused(Step(What::kPlace, "d"), StepRefusal::kInTheWay);
  EXPECT_TRUE(Do({Step(What::kPlace, "empty")}).empty());
  EXPECT_EQ(Read(root_ / "empty"), "file");
}

std::uint64_t DigestOfPieces(std::initializer_list<std::pair<std::int64_t, std::string>> pieces) {
  FileDigest digest;
  for (const auto& [offset, bytes] : pieces) digest.Add(offset, bytes);
  return digest.value();
}

TEST(FileDigestTest, OfAnyPiecesItIsThatOfTheFile) {
  const std::string text = "The content of a file, of which no byte is like another: 0123456789";
  const std::uint64_t whole = DigestOfPieces({{0, text}});
  for (std::size_t i = 0; i <= text.size(); ++i) {
    EXPECT_EQ(DigestOfPieces({{0, text.substr(0, i)}, {i, text.substr(i)}}), whole) << i;
    std::string other = text;
    other.resize(std::max<std::size_t>(i, 1));
    other.back() ^= 1;
    EXPECT_NE(DigestOfPieces({{0, other}}), DigestOfPieces({{0, text.substr(0, other.size())}}));
  }
  EXPECT_NE(DigestOfPieces({{0, "ab"}}), DigestOfPieces({{0, "ba"}}));
  EXPECT_NE(DigestOfPieces({{0, "12345678abcdefgh"}}), DigestOfPieces({{0, "abcdefgh12345678"}}));
}

TEST(FileDigestTest, HolesAreZeros) {
  const auto file = MakeMemoryFile("begin");
  ASSERT_EQ(::ftruncate(file->get(), 1 << 20), 0);
  ASSERT_EQ(::pwrite(file->get(), "end", 3, 700'001), 3);
  EXPECT_EQ(DigestOfFile(file->get()), DigestOfPieces({{0, "begin"}, {700'001, "end"}}));
  const auto pipe = MakePipe();
  EXPECT_EQ(DigestOfFile(pipe->read.get()), std::nullopt);
}

}  // namespace
}  // namespace pyro::sys
