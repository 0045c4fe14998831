// What is taken of a tree or an archive, and what is said of the rest.

#include <sys/socket.h>
#include <sys/un.h>

#include <gtest/gtest.h>

#include "archive/test_support.h"
#include "sys/test_directory.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

class SelectionTest : public ::testing::Test {
 protected:
  SelectionTest() {
    fs::create_directories(source_ / "src/deep");
    fs::create_directories(source_ / "node_modules/x");
    for (const char* name : {"a", "a.o", "src/b", "src/b.o", "src/deep/c", "node_modules/x/d"}) {
      WriteFile(source_ / name, name);
    }
  }

  Selection Without(const std::vector<std::string>& patterns) {
    Selection selection;
    selection.exclude = Patterns::Parse(patterns).value();
    return selection;
  }

  // The names that come out of the stream of `source_`.
  std::vector<std::string> Taken(const Selection& selection) {
    out_ = FdOf("");
    auto summary = WriteTree(source_, out_.get(), {}, selection);
    EXPECT_TRUE(summary.ok()) << summary.error().message;
    if (summary.ok()) summary_ = *summary;
    return Unpacked();
  }

  std::vector<std::string> Unpacked() {
    fs::remove_all(dest_);
    auto staged = ReceiveBytes(ReadBack(out_.get()), dest_, ExportKind::kDirectory);
    EXPECT_TRUE(staged.ok() && staged->Commit().ok());
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(dest_)) {
      names.push_back(entry.path().native().substr(dest_.native().size() + 1));
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  sys::TestDirectory directory_;
  const fs::path source_ = directory_.path() / "source";
  const fs::path dest_ = directory_.path() / "dest";
  sys::UniqueFd out_;
  Summary summary_;
};

using Names = std::vector<std::string>;

TEST_F(SelectionTest, WhatAPatternMatchesIsLeftOutWithAllBelowIt) {
  EXPECT_EQ(Taken(Without({"*.o", "node_modules/"})),
            (Names{"a", "src", "src/b", "src/deep", "src/deep/c"}));
  EXPECT_EQ(Taken(Without({"/src/*"})),
            (Names{"a", "a.o", "node_modules", "node_modules/x", "node_modules/x/d", "src"}));
}

TEST_F(SelectionTest, AnArchiveIsFilteredAsADirectoryIs) {
  const sys::UniqueFd packed = FdOf("");
  ASSERT_TRUE(WriteTree(source_, packed.get()).ok());
  WriteFile(directory_.path() / "source.tar", ReadBack(packed.get()));
  const auto patterns = Patterns::Parse({"*.o", "node_modules/"}).value();
  out_ = FdOf("");
  ASSERT_TRUE(CopyArchive(directory_.path() / "source.tar", out_.get(), {}, patterns).ok());
  EXPECT_EQ(Unpacked(), (Names{"a", "src", "src/b", "src/deep", "src/deep/c"}));
}

TEST_F(SelectionTest, AHardLinkOfAnArchiveToWhatIsExcludedIsRefused) {
  const fs::path file = directory_.path() / "links.tar";
  WriteFile(file, TarBuilder().Add('0', "a", "x").Add('1', "b", "", "a").Finished());
  out_ = FdOf("");
  const auto refused = CopyArchive(file, out_.get(), {}, Patterns::Parse({"a"}).value());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  // In a tree the other name is the file itself.
  fs::create_hard_link(source_ / "a", source_ / "z");
  const auto taken = Taken(Without({"a", "src", "node_modules"}));
  EXPECT_EQ(taken, (Names{"a.o", "z"}));
}

TEST_F(SelectionTest, OnlyWhatGitSeesIsTaken) {
  fs::create_directories(source_ / ".git/objects/empty");
  WriteFile(source_ / ".git/HEAD", "x");
  Selection selection = Without({"src/deep"});
  selection.git = GitFiles{{"a", "src/b", "src/deep/c", "gone"}, {"src", "src/deep"}, {".git"}};
  EXPECT_EQ(Taken(selection), (Names{".git", ".git/HEAD", ".git/objects", ".git/objects/empty", "a",
                                     "src", "src/b"}));
}

TEST_F(SelectionTest, WhatIsLeftOutUnaskedIsNamed) {
  const sys::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = source_ / "sock";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  Selection selection;
  selection.without = {source_ / "src/deep"};
  Taken(selection);
  EXPECT_EQ(summary_.skipped_names, Names{"sock"});
  EXPECT_EQ(summary_.own_names, Names{"src/deep"});
  Taken(Without({"sock"}));
  EXPECT_EQ(summary_.skipped, 0u) << "it was asked for";
}

TEST_F(SelectionTest, WhatLeadsGitOutOfATreeOrAnArchiveIsNamed) {
  WriteFile(source_ / ".git", "gitdir: /srv/repo/.git/worktrees/source\n");
  fs::create_directory(source_ / "sub");
  WriteFile(source_ / "sub/.git", "gitdir: ../.git/modules/sub\n");
  fs::create_symlink("../../repo.git", source_ / "src/.git");
  const auto expect = [](const Summary& summary) {
    ASSERT_EQ(summary.git_outside.size(), 2u);
    EXPECT_EQ(summary.git_outside[0].name, ".git");
    EXPECT_EQ(summary.git_outside[0].path, "/srv/repo/.git/worktrees/source");
    EXPECT_EQ(summary.git_outside[1].name, "src/.git");
    EXPECT_EQ(summary.git_outside[1].path, "../../repo.git");
  };
  Taken({});
  expect(summary_);
  WriteFile(directory_.path() / "source.tar", ReadBack(out_.get()));
  out_ = FdOf("");
  const auto copied = CopyArchive(directory_.path() / "source.tar", out_.get());
  ASSERT_TRUE(copied.ok());
  expect(*copied);
}

}  // namespace
}  // namespace pyro::archive
