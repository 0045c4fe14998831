#include "state/own_directory.h"

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kOther = 61001;

bool HasHint(const Status& status, std::string_view part) {
  return !status.ok() && status.error().hint.find(part) != std::string::npos;
}

TEST(OwnDirectoryTest, IsOfThisUserAndOthersCannotWriteThere) {
  const sys::TestDirectory directory;
  const fs::path own = directory.path() / "own";
  EXPECT_TRUE(CheckOwnDirectory(own).ok());
  ASSERT_TRUE(sys::MakeDirectories(own).ok());
  fs::create_directory_symlink(own, directory.path() / "link");
  for (const mode_t mode : {0700, 0755, 0750}) {
    ASSERT_EQ(::chmod(own.c_str(), mode), 0);
    EXPECT_TRUE(CheckOwnDirectory(own).ok());
    EXPECT_TRUE(CheckOwnDirectory(directory.path() / "link").ok());
  }
  for (const mode_t mode : {0772, 0702, 01777}) {
    ASSERT_EQ(::chmod(own.c_str(), mode), 0);
    EXPECT_EQ(CheckOwnDirectory(own).error().code, ErrorCode::kPermissionDenied);
    EXPECT_EQ(CheckOwnDirectory(directory.path() / "link").error().code,
              ErrorCode::kPermissionDenied);
  }
}

TEST(OwnDirectoryTest, OfAnotherUserIsRefusedAndSoIsALinkOfTheirs) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root makes directories of another user";
  const sys::TestDirectory directory;
  const fs::path own = directory.path() / "own";
  const std::string link = (directory.path() / "link").native();
  ASSERT_TRUE(sys::MakeDirectories(own).ok());
  fs::create_directory_symlink(own, link);
  ASSERT_EQ(::lchown(link.c_str(), kOther, kOther), 0);
  EXPECT_TRUE(CheckOwnDirectory(own).ok());
  for (const char* end : {"", "/", "//", "/.", "/./"}) {
    const Status status = CheckOwnDirectory(link + end);
    ASSERT_FALSE(status.ok()) << end;
    EXPECT_EQ(status.error().code, ErrorCode::kPermissionDenied) << end;
  }
  ASSERT_EQ(::chown(own.c_str(), kOther, kOther), 0);
  EXPECT_EQ(CheckOwnDirectory(own).error().code, ErrorCode::kPermissionDenied);
}

TEST(OwnDirectoryTest, OnlyItsOwnerIsToldToChangeItsModeAndNeverThatOfADirectoryOfAll) {
  const sys::TestDirectory directory;
  const fs::path own = directory.path() / "own";
  ASSERT_TRUE(sys::MakeDirectories(own).ok());
  ASSERT_EQ(::chmod(own.c_str(), 0777), 0);
  EXPECT_TRUE(HasHint(CheckOwnDirectory(own), "chmod go-w"));
  ASSERT_EQ(::chmod(own.c_str(), 01777), 0);
  EXPECT_TRUE(HasHint(CheckOwnDirectory(own), "such as one below it"));
  EXPECT_TRUE(HasHint(CheckOwnDirectory("/tmp"), "such as one below it"));
}

// The private group of a user who is made for it is in tests/hostile/test_other_user.py.
TEST(OwnDirectoryTest, AGroupThatIsNotPrivateIsOthers) {
  const sys::TestDirectory directory;
  struct stat info {};
  ASSERT_EQ(::stat(directory.path().c_str(), &info), 0);
  info.st_mode = S_IFDIR | 0755;
  EXPECT_FALSE(OthersMayWrite(directory.path(), info));
  info.st_mode = S_IFDIR | 0775;
  for (const gid_t group : {gid_t{0}, gid_t{1}, gid_t{kOther}, gid_t{0xfffffffe}}) {
    info.st_gid = group;
    EXPECT_TRUE(OthersMayWrite(directory.path(), info)) << group;
  }
}

}  // namespace
}  // namespace pyro::state
