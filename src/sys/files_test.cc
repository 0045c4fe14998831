#include "sys/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "sys/file_lock.h"
#include "sys/test_directory.h"

namespace pyro::sys {
namespace {

namespace fs = std::filesystem;

TEST(FilesTest, AtomicWriteReplacesAndLeavesNothingElse) {
  const TestDirectory directory;
  const fs::path path = directory.path() / "f";
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "two").ok());
  EXPECT_EQ(*ReadFile(path, 10), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()), 1);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(FilesTest, ReadFileHasALimit) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomically(directory.path() / "f", "12345").ok());
  EXPECT_TRUE(ReadFile(directory.path() / "f", 5).ok());
  EXPECT_EQ(ReadFile(directory.path() / "f", 4).error().code, ErrorCode::kLimit);
  EXPECT_EQ(ReadFile(directory.path() / "none", 4).error().code, ErrorCode::kNotFound);
}

TEST(FilesTest, DirectoriesArePrivate) {
  const TestDirectory directory;
  ASSERT_TRUE(MakeDirectories(directory.path() / "a/b/c").ok());
  ASSERT_TRUE(MakeDirectories(directory.path() / "a/b/c").ok());
  struct stat info {};
  ASSERT_EQ(::stat((directory.path() / "a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  ASSERT_TRUE(WriteFileAtomically(directory.path() / "file", "").ok());
  EXPECT_FALSE(MakeDirectories(directory.path() / "file").ok());
}

TEST(FilesTest, RemoveTreeDoesNotFollowLinks) {
  const TestDirectory directory;
  ASSERT_TRUE(MakeDirectories(directory.path() / "keep").ok());
  ASSERT_TRUE(MakeDirectories(directory.path() / "gone/deep").ok());
  fs::create_symlink(directory.path() / "keep", directory.path() / "gone/link");
  ASSERT_TRUE(RemoveTree(directory.path() / "gone").ok());
  EXPECT_TRUE(fs::exists(directory.path() / "keep"));
  EXPECT_FALSE(fs::exists(directory.path() / "gone"));
  EXPECT_TRUE(RemoveTree(directory.path() / "gone").ok());
}

TEST(FileLockTest, ExcludesOthersUntilTheLastHolderIsGone) {
  const TestDirectory directory;
  const fs::path path = directory.path() / "lock";
  auto first = FileLock::TryAcquire(path);
  ASSERT_TRUE(first.ok() && first->has_value());
  EXPECT_FALSE(FileLock::TryAcquire(path)->has_value());
  UniqueFd inherited(::fcntl((*first)->fd(), F_DUPFD_CLOEXEC, 3));
  first->reset();
  EXPECT_FALSE(FileLock::TryAcquire(path)->has_value());
  inherited.Reset();
  EXPECT_TRUE(FileLock::TryAcquire(path)->has_value());
  EXPECT_EQ(FileLock::TryAcquire(directory.path() / "no/lock").error().code, ErrorCode::kNotFound);
}

TEST(FileLockTest, DoesNotLockAFileThatWasReplaced) {
  const TestDirectory directory;
  const fs::path path = directory.path() / "lock";
  auto held = FileLock::TryAcquire(path);
  fs::remove(path);
  auto second = FileLock::TryAcquire(path);
  ASSERT_TRUE(second.ok() && second->has_value());
  EXPECT_FALSE(FileLock::TryAcquire(path)->has_value());
}

}  // namespace
}  // namespace pyro::sys
