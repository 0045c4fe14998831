#include "archive/ignore.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "sys/child_process.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::archive {
namespace {

using Form = IgnoreFile::Form;
using Answer = Ignores::Answer;

bool GitHas(std::string_view rules, std::string_view path, bool directory = false) {
  return IgnoreFile::Parse(rules, Form::kGit).Find(path, directory).value_or(false);
}

bool DockerHas(std::string_view rules, std::string_view path) {
  return IgnoreFile::Parse(rules, Form::kDocker).Find(path, false).value_or(false);
}

// Trees that ask about every entry from the top, as a walk does.
std::set<std::string> Ignored(const Ignores& rules, const std::vector<std::string>& paths) {
  std::set<std::string> ignored;
  for (const std::string& path : paths) {
    bool is = false;
    for (std::size_t at = 0; !is && at != std::string::npos;) {
      at = path.find('/', at + 1);
      is = rules.Ask(std::string_view(path).substr(0, at), at != std::string::npos) == Answer::kYes;
    }
    if (is) ignored.insert(path);
  }
  return ignored;
}

// What git itself says of them.
std::set<std::string> IgnoredByGit(const std::filesystem::path& top,
                                   const std::vector<std::string>& paths) {
  std::string input;
  for (const std::string& path : paths) input += path + '\0';
  auto file = sys::MakeMemoryFile(input);
  EXPECT_TRUE(file.ok());
  if (!file) return {};
  sys::SpawnOptions options;
  options.argv = {"git",        "-c",     "core.excludesFile=/dev/null", "check-ignore", "-z",
                  "--no-index", "--stdin"};
  options.search_path = true;
  options.cwd = top;
  options.env = {"PATH=/usr/bin:/bin", "HOME=/nonexistent"};
  options.stdin_fd = std::move(*file);
  const auto done = sys::RunCommand(std::move(options), Deadline::After(std::chrono::minutes(2)));
  EXPECT_TRUE(done.ok());
  if (!done.ok()) return {};
  std::set<std::string> ignored;
  for (const std::string_view one : Split(done->stdout_text, '\0')) {
    if (!one.empty()) ignored.emplace(one);
  }
  return ignored;
}

void WriteText(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

TEST(IgnoreTest, RulesOfGitCountFromTheirDirectoryAndTheLastOneSays) {
  EXPECT_TRUE(GitHas("*.o\n", "a/b.o"));
  EXPECT_FALSE(GitHas("*.o\n!keep.o\n", "keep.o"));
  EXPECT_TRUE(GitHas("!keep.o\n*.o\n", "keep.o"));
  EXPECT_TRUE(GitHas("/build\n", "build"));
  EXPECT_FALSE(GitHas("/build\n", "a/build"));
  EXPECT_FALSE(GitHas("build/\n", "build"));
  EXPECT_TRUE(GitHas("build/\n", "a/build", true));
  EXPECT_TRUE(GitHas("a/**/z\n", "a/z"));
  EXPECT_TRUE(GitHas("a/**\n", "a/b/c"));
  EXPECT_FALSE(GitHas("a/**\n", "a", true));
  EXPECT_TRUE(GitHas("-**/*\n", "-")) << "nothing is left of the name, and the rest takes nothing";
  EXPECT_FALSE(GitHas("-**/?\n", "-"));
  EXPECT_TRUE(GitHas("caf??\n", "caf\xc3\xa9")) << "git counts bytes";
}

TEST(IgnoreTest, DirectoriesThatAreIgnoredTakeAllWithThem) {
  Ignores rules;
  rules.AddGit("", "out/\n!out/keep\nlogs/*\n!logs/keep\n");
  rules.AddGit("sub", "!*.tmp\n");
  rules.SetGitExclude("*.tmp\n");
  const std::vector<std::string> paths = {"out/keep",  "logs/keep", "logs/x",       "a.tmp",
                                          "sub/a.tmp", ".git/HEAD", "x/.git/config"};
  EXPECT_EQ(Ignored(rules, paths),
            (std::set<std::string>{"out/keep", "logs/x", "a.tmp", ".git/HEAD", "x/.git/config"}));
}

TEST(IgnoreTest, RulesOfDockerCountFromTheTopAndTakeBackBelowADirectory) {
  EXPECT_TRUE(DockerHas("*.o", "a.o"));
  EXPECT_FALSE(DockerHas("*.o", "x/a.o"));
  EXPECT_TRUE(DockerHas("**/*.o", "a.o"));
  EXPECT_TRUE(DockerHas("**/*.o", "x/y/a.o"));
  EXPECT_TRUE(DockerHas("  /x/ ", "x/y"));
  EXPECT_TRUE(DockerHas("x/../y", "y/z"));
  EXPECT_FALSE(DockerHas("x\n!x/keep", "x/keep/a"));
  EXPECT_TRUE(DockerHas("x\n!x/keep", "x/other"));
  EXPECT_TRUE(DockerHas("x\n! x/keep\nx/keep/a", "x/keep/a"));
  EXPECT_FALSE(DockerHas("# x\n", "# x"));
  EXPECT_TRUE(DockerHas("**", "x/y"));
  EXPECT_TRUE(DockerHas("temp?", "temp1/a"));
  Ignores rules;
  rules.SetDocker("x\n!x/keep\n");
  EXPECT_EQ(rules.Ask("x", true), Answer::kItself);
  EXPECT_EQ(rules.Ask("x/keep", false), Answer::kNo);
}

TEST(IgnoreTest, RulesBeyondTheLimitsAreCountedAndNotKept) {
  const IgnoreFile longest = IgnoreFile::Parse(std::string(2000, 'a') + "\nb\n", Form::kGit);
  EXPECT_EQ(longest.left_out(), 1U);
  EXPECT_EQ(longest.Find("b", false), true);
  std::string many;
  for (std::size_t i = 0; i <= kMaxIgnoreRules; ++i) many += fmt::format("x{}\n", i);
  EXPECT_EQ(IgnoreFile::Parse(many, Form::kGit).left_out(), 1U);
  const IgnoreFile large =
      IgnoreFile::Parse("a\n" + std::string(kMaxIgnoreFileBytes, '#') + "\nb\n", Form::kDocker);
  EXPECT_EQ(large.Find("a", false), true);
  EXPECT_EQ(large.Find("b", false), std::nullopt);
  EXPECT_GT(large.left_out(), 0U);
}

TEST(IgnoreTest, ManyStarsTakeNoLongTime) {
  std::string rule;
  for (int i = 0; i < 200; ++i) rule += "*a";
  EXPECT_FALSE(GitHas(rule + "b", std::string(4000, 'a')));
  std::string deep = "x";
  std::string stars = "**";
  for (int i = 0; i < 400; ++i) deep += "/x";
  for (int i = 0; i < 100; ++i) stars += "/x/**";
  EXPECT_FALSE(GitHas(stars + "/y", deep));
}

// Rules of random pieces, for trees whose names are made of the same few characters.
class AgainstGitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(top_);
    sys::SpawnOptions options;
    options.argv = {"git", "init", "-q"};
    options.search_path = true;
    options.cwd = top_;
    options.env = {"PATH=/usr/bin:/bin", "HOME=/nonexistent"};
    const auto done = sys::RunCommand(std::move(options), Deadline::After(std::chrono::minutes(2)));
    ASSERT_TRUE(done.ok() && done->status.success());
  }

  std::string Pick(const std::vector<std::string>& from) { return from[random_() % from.size()]; }
  std::string Rule() {
    static const std::vector<std::string> kPieces = {
        "a",     "b",       "ab",          "*",       "**",
        "?",     "/",       "/",           "[ab]",    "[!a]",
        "[^b]",  "\\",      "\\*",         " ",       "\\ ",
        "[a-b",  "[]a]",    "[[:alpha:]]", "[[:x:]]", "[a[:digit:]]",
        "/**/",  "**/",     "/*",          "[",       "-",
        "[b-a]", "[a\\]b]", "***",         "\\/",     "[[:]",
        "!"};
    std::string rule = Pick({"", "", "", "!", "/", "#", "\\!", "\\#"});
    for (std::size_t i = 1 + random_() % 5; i > 0; --i) rule += Pick(kPieces);
    return rule + Pick({"", "", "", "/", " ", "\r", "\t", "//"});
  }
  std::string Rules() {
    std::string rules;
    for (std::size_t i = random_() % 5; i > 0; --i) rules += Rule() + "\n";
    return rules;
  }

  sys::TestDirectory scratch_;
  std::filesystem::path top_ = scratch_.path() / "top";
  std::mt19937 random_{20260101};
};

TEST_F(AgainstGitTest, ItIgnoresWhatGitIgnores) {
  std::vector<std::string> names = {"a", "b",  "ab", "ba", "a b", "*", "-", "!",
                                    "#", "\\", "[",  "]",  "a ",  "1", "a-"};
  std::vector<std::string> paths;
  for (const std::string& one : names) {
    WriteText(top_ / "a" / "b" / one / "x", "");
    paths.push_back("a/b/" + one + "/x");
    if (one != "b") {
      WriteText(top_ / "a" / one, "");
      paths.push_back("a/" + one);
    }
    if (one != "a") {
      WriteText(top_ / one, "");
      paths.push_back(one);
    }
  }
  for (int round = 0; round < 150; ++round) {
    const std::map<std::string, std::string> files = {
        {"", Rules()}, {"a", Rules()}, {"a/b", Rules()}, {"a/b/ab", Rules()}};
    const std::string exclude = Rules();
    Ignores rules;
    std::string told;
    for (const auto& [directory, text] : files) {
      WriteText(top_ / directory / ".gitignore", text);
      rules.AddGit(directory, text);
      told += fmt::format("in '{}':\n{}", directory, text);
    }
    WriteText(top_ / ".git/info/exclude", exclude);
    rules.SetGitExclude(exclude);
    ASSERT_EQ(Ignored(rules, paths), IgnoredByGit(top_, paths)) << told << "in exclude:\n"
                                                                << exclude;
  }
}

}  // namespace
}  // namespace pyro::archive
