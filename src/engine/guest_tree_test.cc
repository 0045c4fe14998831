#include "engine/guest_tree.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace pyro::engine {
namespace {

std::optional<std::string> Edited(const TreeWish& wish, const char* name, const char* content) {
  return RulesOf(wish).edits.at(name)(content);
}

TEST(GuestTreeTest, NamesOfGuestsLeaveTheHostsFile) {
  EXPECT_EQ(Edited({}, "etc/hosts",
                   "127.0.0.1\tlocalhost pyro\n127.0.1.1\tpyro-abcdefgh\n127.0.1.1\tmine\n"
                   "127.0.1.1\tpyro-12345678\n::1\tlocalhost"),
            "127.0.0.1\tlocalhost pyro\n127.0.1.1\tmine\n::1\tlocalhost");
  EXPECT_EQ(Edited({}, "etc/hosts", "127.0.1.1\tpyro-abcdefgh mine\n"),
            "127.0.1.1\tpyro-abcdefgh mine\n");
  EXPECT_EQ(Edited({}, "etc/hosts", "127.0.1.1\tpyro-abcdefgh"), "");
  EXPECT_EQ(Edited({}, "etc/hosts", ""), "");
}

TEST(GuestTreeTest, WhatEachGuestWritesIsEmptyAndItsGitIdentityIsGone) {
  EXPECT_EQ(Edited({}, "etc/hostname", "pyro-abcdefgh\n"), "");
  EXPECT_EQ(Edited({}, "etc/machine-id", "0123\n"), "");
  EXPECT_EQ(Edited({}, "etc/gitconfig", "[user]\n\tname = pyro\n\temail = pyro@localhost\n"),
            std::nullopt);
  EXPECT_EQ(Edited({}, "etc/gitconfig", "[user]\n\tname = me\n"), "[user]\n\tname = me\n");
}

TEST(GuestTreeTest, TheResolverIsPyrosOnlyWithANetwork) {
  EXPECT_FALSE(RulesOf({}).edits.contains("etc/resolv.conf"));
  EXPECT_EQ(Edited({.network = true}, "etc/resolv.conf", "nameserver 10.0.2.3\n"), "");
}

TEST(GuestTreeTest, TheWorkspaceStaysBehindUnlessItIsWanted) {
  EXPECT_TRUE(RulesOf({}).emptied.contains("workspace"));
  EXPECT_FALSE(RulesOf({.workspace = true}).emptied.contains("workspace"));
  for (const char* name : {"proc", "sys", "dev", "run", "tmp", "var/lib/docker"}) {
    EXPECT_TRUE(RulesOf({.workspace = true}).emptied.contains(name)) << name;
  }
  EXPECT_EQ(RulesOf({.stamp = WallTime(std::chrono::seconds(7))}).stamp, 7);
}

TEST(GuestTreeTest, WhatTheGuestLeftOutIsToldAndWhatChangedIsAFault) {
  std::vector<std::string> told;
  EXPECT_TRUE(AddNote({wire::FileNoteKind::kSocket, 1, {{"a"}}}, told));
  EXPECT_TRUE(AddNote({wire::FileNoteKind::kAttributes, 3, {{"b\n"}, {"c"}}}, told));
  EXPECT_EQ(told, (std::vector<std::string>{
                      "the socket /a",
                      "extended attributes that a layer cannot hold, of /b\\x0a and 2 more"}));
  EXPECT_EQ(AddNote({wire::FileNoteKind::kChanged, 1, {{"a"}}}, told).error().code,
            ErrorCode::kGuestUnavailable);
}

}  // namespace
}  // namespace pyro::engine
