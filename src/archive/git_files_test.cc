#include "archive/git_files.h"

#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include <gtest/gtest.h>

#include "archive/test_support.h"
#include "sys/child_process.h"
#include "sys/test_directory.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

class GitFilesTest : public ::testing::Test {
 protected:
  GitFilesTest() {
    fs::create_directory(source_);
    Git(source_, {"init", "-q"});
  }

  // As a user with no configuration would.
  static void Git(const fs::path& where, std::vector<std::string> words) {
    sys::SpawnOptions options;
    options.argv = {
        "git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"};
    options.argv.insert(options.argv.end(), words.begin(), words.end());
    options.search_path = true;
    options.cwd = where;
    options.env = {"PATH=/usr/bin:/bin", "HOME=/nonexistent"};
    const auto done = sys::RunCommand(std::move(options), Deadline::After(std::chrono::minutes(2)));
    ASSERT_TRUE(done.ok()) << done.error().message;
    ASSERT_TRUE(done->status.success()) << words[0] << ": " << done->stderr_text;
  }

  std::set<std::string> Files() {
    const auto found = ListGitFiles(source_, -1);
    EXPECT_TRUE(found.ok()) << found.error().message;
    if (!found.ok()) return {};
    return {found->files.begin(), found->files.end()};
  }

  sys::TestDirectory directory_;
  const fs::path source_ = directory_.path() / "source";
};

TEST_F(GitFilesTest, TrackedAndUntrackedFilesAreListedAndIgnoredOnesAreNot) {
  fs::create_directories(source_ / "a/b");
  fs::create_directories(source_ / "out/deep");
  fs::create_directory(source_ / "empty");
  WriteFile(source_ / ".gitignore", "*.o\nout/\n");
  WriteFile(source_ / "a/b/tracked", "x");
  WriteFile(source_ / "tracked.o", "x");
  WriteFile(source_ / "deleted", "x");
  Git(source_, {"add", "-f", "a/b/tracked", "tracked.o", "deleted", ".gitignore"});
  fs::remove(source_ / "deleted");
  WriteFile(source_ / "a/new\nline", "x");
  WriteFile(source_ / "a/ignored.o", "x");
  WriteFile(source_ / "out/deep/f", "x");
  WriteFile(source_ / "info", "x");
  fs::create_symlink("nowhere", source_ / "link");
  WriteFile(source_ / ".git/info/exclude", "info\n");
  const auto found = ListGitFiles(source_, -1);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->files, (std::unordered_set<std::string>{".gitignore", "a/b/tracked", "tracked.o",
                                                           "a/new\nline", "link"}));
  EXPECT_EQ(found->directories, (std::unordered_set<std::string>{"a", "a/b"}));
  EXPECT_EQ(found->whole, (std::unordered_set<std::string>{".git"}));
}

TEST_F(GitFilesTest, ARepositoryWithinIsListedAsItSeesItself) {
  const fs::path other = directory_.path() / "other";
  fs::create_directory(other);
  Git(other, {"init", "-q"});
  WriteFile(other / ".gitignore", "*.o\n");
  Git(other, {"add", "."});
  Git(other, {"commit", "-q", "-m", "x"});
  Git(source_, {"submodule", "--quiet", "add", other.native(), "sub"});
  Git(source_, {"clone", "-q", other.native(), "nested"});
  for (const char* name : {"sub", "nested"}) {
    WriteFile(source_ / name / "new", "x");
    WriteFile(source_ / name / "ignored.o", "x");
  }
  EXPECT_EQ(Files(), (std::set<std::string>{".gitmodules", "sub/.gitignore", "sub/new",
                                            "nested/.gitignore", "nested/new"}));
  const auto found = ListGitFiles(source_, -1);
  EXPECT_EQ(found->whole, (std::unordered_set<std::string>{".git", "sub/.git", "nested/.git"}));
}

// A listing must run nothing that a repository's configuration names.
TEST_F(GitFilesTest, NoProgramOfTheRepositoryRuns) {
  const fs::path ran = directory_.path() / "ran";
  const fs::path program = directory_.path() / "program";
  WriteFile(program, "#!/bin/sh\ntouch " + ran.native() + "\n", 0755);
  WriteFile(source_ / "f", "x");
  Git(source_, {"add", "f"});
  for (const char* key :
       {"core.fsmonitor", "core.pager", "pager.ls-files", "core.sshCommand", "core.askPass",
        "filter.x.clean", "filter.x.smudge", "filter.x.process", "diff.external", "core.editor",
        "credential.helper", "alias.ls-files", "core.gitProxy", "uploadpack.packObjectsHook"}) {
    const std::string value =
        std::string(key) == "alias.ls-files" ? "!" + program.native() : program.native();
    Git(source_, {"config", key, value});
  }
  WriteFile(source_ / ".gitattributes", "* filter=x diff=x\n");
  fs::create_directories(source_ / ".git/hooks");
  for (const char* hook : {"post-index-change", "fsmonitor-watchman", "pre-commit"}) {
    fs::copy_file(program, source_ / ".git/hooks" / hook);
  }
  EXPECT_EQ(Files(), (std::set<std::string>{".gitattributes", "f"}));
  EXPECT_FALSE(fs::exists(ran));
}

TEST_F(GitFilesTest, TheCallersRepositoryIsNoneOfItsBusiness) {
  WriteFile(source_ / "f", "x");
  ASSERT_EQ(::setenv("GIT_DIR", "/nonexistent", 1), 0);
  ASSERT_EQ(::setenv("GIT_INDEX_FILE", "/nonexistent/index", 1), 0);
  EXPECT_EQ(Files(), (std::set<std::string>{"f"}));
  ::unsetenv("GIT_DIR");
  ::unsetenv("GIT_INDEX_FILE");
}

TEST_F(GitFilesTest, OnlyTheTopOfAWorkTreeWillDo) {
  fs::create_directory(source_ / "sub");
  for (const fs::path& path : {source_ / "sub", directory_.path()}) {
    const auto found = ListGitFiles(path, -1);
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(found.error().message.find(path.native()), std::string::npos);
  }
  EXPECT_EQ(ListGitFiles(source_ / "none", -1).error().code, ErrorCode::kNotFound);
}

TEST_F(GitFilesTest, CanBeCancelled) {
  const sys::UniqueFd cancel(::eventfd(1, EFD_CLOEXEC));
  EXPECT_EQ(ListGitFiles(source_, cancel.get()).error().code, ErrorCode::kCancelled);
}

TEST(GitPathTest, FindsWhatLeadsOutOfTheTree) {
  const auto file = [](const char* name, const char* text) {
    return GitPathOutside(name, text, false);
  };
  EXPECT_EQ(file(".git", "gitdir: /home/me/repo/.git/worktrees/x\n"),
            "/home/me/repo/.git/worktrees/x");
  EXPECT_EQ(file(".git", "gitdir: ../.git/modules/sub\n"), "../.git/modules/sub");
  EXPECT_EQ(file("sub/.git", "gitdir: ../.git/modules/sub\n"), std::nullopt);
  EXPECT_EQ(file("a/sub/.git", "gitdir: ../../../.git\n"), "../../../.git");
  EXPECT_EQ(file(".git", "something else"), std::nullopt);
  EXPECT_EQ(file(".git/objects/info/alternates", "/srv/objects\n"), "/srv/objects");
  EXPECT_EQ(file(".git/objects/info/alternates", "../../.git2/objects\n"), std::nullopt);
  EXPECT_EQ(file(".git/objects/info/alternates", "../../../x/objects\n"), "../../../x/objects");
  EXPECT_EQ(GitPathOutside(".git", "../repo.git", true), "../repo.git");
  EXPECT_EQ(GitPathOutside("a/.git", "../repo.git", true), std::nullopt);
  EXPECT_EQ(GitPathOutside(".git", "/repo.git", true), "/repo.git");
  EXPECT_TRUE(TellsGitPath(".git"));
  EXPECT_TRUE(TellsGitPath("a/.git/modules/b/objects/info/alternates"));
  EXPECT_FALSE(TellsGitPath("a.git"));
  EXPECT_FALSE(TellsGitPath("objects/info/alternates"));
}

}  // namespace
}  // namespace pyro::archive
