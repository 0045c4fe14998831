#include "agent/users.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/command.h"
#include "sys/test_directory.h"

namespace pyro::agent {
namespace {

using Groups = std::vector<gid_t>;

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "# a comment\n"
    "broken:x:notanumber:5::/:\n"
    "short:x:7\n"
    "long:x:8:8::/:/bin/sh:one too many\n"
    "none:x:4294967295:1::/:\n"
    "web:x:1000:1001:A Name,,,:/home/web:/bin/zsh\n"
    "web:x:2000:2000::/elsewhere:/bin/sh\n"
    "bare:x:1002:1002:::\n"
    "1234:x:55:55::/home/1234:/bin/sh\n"
    "other:x:1234:1234::/home/other:/bin/sh";
constexpr std::string_view kGroup =
    "root:x:0:\n"
    "adm:x:4:syslog,web\n"
    "broken:x:many:web\n"
    "docker:x:999:web,other\n"
    "again:x:999:web\n"
    "webs:x:1003:webmaster\n"
    "web:x:1001:";

int NumberOf(std::string_view spec) {
  const auto user = ParseUser(spec, kPasswd, kGroup);
  return user.ok() ? 0 : user.error().sys_errno;
}

TEST(Users, AnEntryGivesIdsGroupsHomeAndShell) {
  const auto user = ParseUser("web", kPasswd, kGroup);
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(user->ids.uid, 1000u);
  EXPECT_EQ(user->ids.gid, 1001u);
  EXPECT_EQ(user->ids.groups, (Groups{4, 999, 1001}));
  EXPECT_EQ(user->name, "web");
  EXPECT_EQ(user->home, "/home/web");
  EXPECT_EQ(user->shell, "/bin/zsh");
}

TEST(Users, ANumberFindsItsEntryAndANameComesFirst) {
  EXPECT_EQ(ParseUser("1000", kPasswd, kGroup)->name, "web");
  EXPECT_EQ(ParseUser("1234", kPasswd, kGroup)->ids.uid, 55u);
}

TEST(Users, ANumberNeedsNoEntry) {
  const auto user = ParseUser("4321", kPasswd, kGroup);
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(user->ids.uid, 4321u);
  EXPECT_EQ(user->ids.gid, 0u);
  EXPECT_EQ(user->ids.groups, Groups{0});
  EXPECT_EQ(user->name, "4321");
  EXPECT_EQ(user->home, "/");
  EXPECT_EQ(ParseUser("4321:77", "", "")->ids.gid, 77u);
}

TEST(Users, RootNeedsNoEntryEither) {
  const auto user = ParseUser("0", "", "");
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(user->name, "root");
  EXPECT_EQ(user->home, "/root");
  EXPECT_EQ(ParseUser("0", "", "video:x:44:root\n")->ids.groups, (Groups{0, 44}));
}

TEST(Users, AGroupTakesThePlaceOfAllOthers) {
  EXPECT_EQ(ParseUser("web:docker", kPasswd, kGroup)->ids.groups, Groups{999});
  const auto user = ParseUser("web:4", kPasswd, kGroup);
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(user->ids.gid, 4u);
  EXPECT_EQ(user->ids.groups, Groups{4});
}

TEST(Users, AnEntryWithoutHomeAndShellHasTheRootDirectory) {
  const auto user = ParseUser("bare", kPasswd, kGroup);
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(user->home, "/");
  EXPECT_EQ(user->shell, "");
}

TEST(Users, WhatIsMissingOrMalformedIsNoUser) {
  for (const char* spec : {"missing", "", "broken", "short", "long", "none", "4294967295",
                           "4294967296", "-1", "+1", "0x10", "1 ", "# a comment"}) {
    EXPECT_EQ(NumberOf(spec), kNoUser) << spec;
  }
  for (const char* spec : {"web:nogroup", "web:", "web:broken", "web:4294967295", "web:4:4"}) {
    EXPECT_EQ(NumberOf(spec), kNoGroup) << spec;
  }
}

TEST(Users, ALineWithATooLongFieldOrANulByteIsLeftOut) {
  const std::string home(4096, 'h');
  EXPECT_FALSE(ParseUser("a", "a:x:1:1::/" + home + ":/bin/sh", "").ok());
  std::string line = "a:x:1:1::/h\x01me:/bin/sh";
  line[line.find('\x01')] = '\0';
  EXPECT_FALSE(ParseUser("a", line, "").ok());
}

TEST(Users, AListOfMembersMayBeLong) {
  std::string group = "many:x:5:";
  for (int i = 0; i < 10'000; ++i) group += "member" + std::to_string(i) + ",";
  EXPECT_EQ(ParseUser("web", kPasswd, group + "web\n")->ids.groups, (Groups{5, 1001}));
  EXPECT_EQ(ParseUser("web:many", kPasswd, group + "web\n")->ids.groups, Groups{5});
}

TEST(Users, MoreGroupsThanLinuxTakesAreRefused) {
  std::string group;
  for (int i = 0; i < 66'000; ++i) group += "g:x:" + std::to_string(2000 + i) + ":web\n";
  const auto user = ParseUser("web", kPasswd, group);
  ASSERT_FALSE(user.ok());
  EXPECT_EQ(user.error().sys_errno, kBadUsers);
}

class UserFilesTest : public testing::Test {
 protected:
  void Write(const char* name, std::string_view text) { std::ofstream(At(name)) << text; }
  std::string At(const char* name) const { return directory_.path() / name; }
  Result<User> Find(std::string_view spec) { return FindUser(spec, directory_.path()); }

  const sys::TestDirectory directory_;
};

TEST_F(UserFilesTest, FilesThatAreMissingHaveNoEntries) {
  EXPECT_EQ(Find("web").error().sys_errno, kNoUser);
  EXPECT_EQ(Find("1000")->ids.uid, 1000u);
  std::filesystem::create_symlink("nowhere", At("passwd"));
  EXPECT_EQ(Find("1000")->ids.uid, 1000u);
}

TEST_F(UserFilesTest, ALinkIsFollowed) {
  Write("users", kPasswd);
  Write("group", kGroup);
  std::filesystem::create_symlink("users", At("passwd"));
  EXPECT_EQ(Find("web")->ids.groups, (Groups{4, 999, 1001}));
}

TEST_F(UserFilesTest, AFileThatIsNoneOrTooLargeIsRefusedWithoutWaiting) {
  ASSERT_EQ(::mkfifo(At("passwd").c_str(), 0600), 0);
  EXPECT_EQ(Find("1000").error().sys_errno, kBadUsers);
  std::filesystem::remove(At("passwd"));
  std::filesystem::create_symlink("/dev/zero", At("passwd"));
  EXPECT_EQ(Find("1000").error().sys_errno, kBadUsers);
  std::filesystem::remove(At("passwd"));
  Write("passwd", std::string(kMaxUserFileBytes + 1, '\n'));
  EXPECT_EQ(Find("1000").error().sys_errno, kBadUsers);
  std::filesystem::remove(At("passwd"));
  std::filesystem::create_symlink("passwd", At("passwd"));  // A loop.
  EXPECT_EQ(Find("1000").error().sys_errno, kBadUsers);
}

}  // namespace
}  // namespace pyro::agent
