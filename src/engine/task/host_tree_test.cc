#include "engine/task/host_tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

class HostTreeTest : public ::testing::Test {
 protected:
  void Put(const fs::path& path, const std::string& text = "") const {
    fs::create_directories((top_ / path).parent_path());
    std::ofstream(top_ / path, std::ios::binary) << text;
  }

  // The paths, each with its kind.
  std::string Scan(bool read_ignores = true, const std::vector<std::string>& exclude = {}) const {
    const auto root = sys::OpenFile(top_, O_RDONLY | O_DIRECTORY);
    archive::Ignores rules(*archive::Patterns::Parse(exclude));
    const HostScan scan = {root->get(), top_, read_ignores, {top_ / "own"}, -1};
    const auto tree = ScanHostTree(scan, rules);
    EXPECT_TRUE(tree.ok()) << tree.error().message;
    // Of what the other side has there, too.
    EXPECT_EQ(rules.Ask("own", true), fs::exists(top_ / "own") ? archive::Ignores::Answer::kYes
                                                               : archive::Ignores::Answer::kNo);
    std::string text;
    if (!tree) return text;
    for (const auto& [path, entry] : *tree) text += path + ":" + entry.type + " ";
    return text;
  }

  const sys::TestDirectory scratch_;
  const fs::path top_ = scratch_.path() / "top";
};

TEST_F(HostTreeTest, EverythingIsListedThatIsNotIgnored) {
  Put(".gitignore", "*.o\n/out/\n");
  Put("a.o");
  Put("out/x");
  Put("d/.gitignore", "!keep.o\nlocal\n");
  Put("d/keep.o");
  Put("d/local");
  Put("d/e/\xff");
  Put(".git/info/exclude", "secret\n");
  Put("secret");
  Put("own/state");
  Put(".pyro-sync/half");
  fs::create_directories(top_ / "empty");
  fs::create_symlink("nowhere", top_ / "link");
  ASSERT_EQ(::mkfifo((top_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(Scan(),
            ".gitignore:f d:d d/.gitignore:f d/e:d d/e/\xff:f d/keep.o:f empty:d link:l pipe:o ");
  EXPECT_EQ(Scan(false, {"d", "*.o"}),
            ".gitignore:f empty:d link:l out:d out/x:f pipe:o secret:f ");
}

TEST_F(HostTreeTest, WhatDockerTakesBackIsListedWithoutItsDirectory) {
  Put(".dockerignore", "vendor\n!vendor/kept\n");
  Put("vendor/a");
  Put("vendor/kept/b");
  EXPECT_EQ(Scan(), ".dockerignore:f vendor/kept:d vendor/kept/b:f ");
}

TEST_F(HostTreeTest, AFileOfRulesThatIsALinkDoesNotCount) {
  Put("rules", "*\n");
  fs::create_symlink("rules", top_ / ".gitignore");
  EXPECT_EQ(Scan(), ".gitignore:l rules:f ");
}

}  // namespace
}  // namespace pyro::engine
