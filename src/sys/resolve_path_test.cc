#include "sys/resolve_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "sys/test_directory.h"

namespace pyro::sys {
namespace {

namespace fs = std::filesystem;

TEST(ResolvePathTest, IsRealpath) {
  const TestDirectory directory;
  const fs::path top = fs::canonical(directory.path());
  fs::create_directories(top / "a/b");
  std::ofstream(top / "a/file") << "x";
  fs::create_symlink("b", top / "a/near");
  fs::create_symlink(top / "a", top / "far");
  fs::create_symlink("../../far/near/..", top / "a/b/round");
  for (const char* path : {"a", "a/", "a/./b", "a/b/../file", "far/near", "a/b/round", "far/b/..",
                           "a/b/round/b", "far/near/../../a/file"}) {
    const auto resolved = ResolvePath(top / path);
    ASSERT_TRUE(resolved.ok()) << path;
    EXPECT_EQ(*resolved, fs::canonical(top / path)) << path;
  }
  EXPECT_EQ(*ResolvePath("."), fs::current_path());
  EXPECT_EQ(*ResolvePath("/.."), "/");
}

TEST(ResolvePathTest, WhatIsMissingOrEndlessIsAnError) {
  const TestDirectory directory;
  fs::create_symlink("circle", directory.path() / "circle");
  fs::create_symlink("nowhere", directory.path() / "lost");
  std::ofstream(directory.path() / "file") << "x";
  EXPECT_EQ(ResolvePath(directory.path() / "none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(ResolvePath(directory.path() / "lost").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(ResolvePath(directory.path() / "circle").error().sys_errno, ELOOP);
  fs::create_symlink("file/", directory.path() / "as directory");
  for (const char* path :
       {"file/x", "file/", "file/.", "file/..", "file/../file", "as directory"}) {
    const auto resolved = ResolvePath(directory.path() / path);
    ASSERT_FALSE(resolved.ok()) << path;
    EXPECT_EQ(resolved.error().sys_errno, ENOTDIR) << path;
    std::error_code error;
    (void)fs::canonical(directory.path() / path, error);
    EXPECT_EQ(error.value(), ENOTDIR) << path;
  }
  const std::string cut = directory.path().native() + std::string("/file\0x", 7);
  EXPECT_EQ(ResolvePath(cut).error().code, ErrorCode::kInvalidArgument);
}

TEST(ResolvePathTest, ALinkOfAnotherUserInADirectoryOfAllIsNotFollowed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root makes links of another user";
  const TestDirectory directory;
  const fs::path shared = directory.path() / "shared";
  fs::create_directories(directory.path() / "own/below");
  fs::create_directory(shared);
  fs::create_symlink(directory.path() / "own", shared / "link");
  EXPECT_TRUE(ResolvePath(shared / "link").ok());
  ASSERT_EQ(::lchown((shared / "link").c_str(), 61001, 61001), 0);
  EXPECT_TRUE(ResolvePath(shared / "link").ok());  // root's own directory, in which root let it be.
  ASSERT_EQ(::chmod(shared.c_str(), 01777), 0);
  EXPECT_EQ(ResolvePath(shared / "link").error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(ResolvePath(shared / "link/below").error().code, ErrorCode::kPermissionDenied);
  ASSERT_EQ(::chown(shared.c_str(), 61001, 61001), 0);
  EXPECT_TRUE(ResolvePath(shared / "link").ok());  // Of the directory's owner.
  ASSERT_EQ(::chown(shared.c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod(shared.c_str(), 0777), 0);
  EXPECT_TRUE(ResolvePath(shared / "link").ok());  // Anyone could replace what is there.
}

}  // namespace
}  // namespace pyro::sys
