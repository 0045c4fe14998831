#include "engine/task/sync_plan.h"

#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "sys/files.h"

namespace pyro::engine {
namespace {

constexpr std::int64_t kNow = 1'000'000'000'000;

// A letter stands for a file's content.
class SyncPlanTest : public ::testing::Test {
 protected:
  static wire::TreeEntry File(char content, std::int64_t mode = 0644) {
    wire::TreeEntry entry;
    entry.mode = mode;
    entry.size = 1;
    entry.inode = content;
    entry.ctime = content;
    return entry;
  }
  static wire::TreeEntry Other(char type, const std::string& target = "",
                               std::int64_t mode = 0755) {
    wire::TreeEntry entry;
    entry.type = type;
    entry.mode = type == 'd' ? mode : 0;
    entry.target = target;
    return entry;
  }
  void Host(const std::string& path, const wire::TreeEntry& entry) { trees_.host[path] = entry; }
  void Guest(const std::string& path, const wire::TreeEntry& entry) { trees_.guest[path] = entry; }
  void Base(const std::string& path, const wire::TreeEntry& entry) {
    state::SyncedEntry& base = trees_.base[path];
    base.type = entry.type;
    base.mode = entry.mode;
    base.size = entry.size;
    base.target = entry.target;
    if (entry.type == 'f') base.digest = static_cast<std::uint64_t>(entry.inode);
  }
  void All(const std::string& path, const wire::TreeEntry& entry) {
    Host(path, entry);
    Guest(path, entry);
    Base(path, entry);
  }

  SyncPlan Plan() {
    options_.now = kNow;
    options_.host_digest = [&](const std::string& path) -> std::optional<std::uint64_t> {
      return static_cast<std::uint64_t>(trees_.host.at(path).inode);
    };
    options_.guest_digests.clear();
    for (const std::string& path : WantedDigests(trees_)) {
      options_.guest_digests[path] = static_cast<std::uint64_t>(trees_.guest.at(path).inode);
    }
    return MakeSyncPlan(trees_, options_);
  }
  std::string Steps() {
    std::string text;
    for (const SyncChange& one : Plan().changes) text += one.told.kind + " " + one.told.path + ", ";
    return text;
  }
  std::string Conflicts() {
    std::string text;
    for (const TaskSyncConflict& one : Plan().conflicts) {
      text += one.path + " " + one.host + "/" + one.task + ", ";
    }
    return text;
  }

  SyncTrees trees_;
  SyncPlanOptions options_;
};

TEST_F(SyncPlanTest, ChangesOfTheSourceGoOverAndThoseOfTheOtherSideStay) {
  All("same", File('s'));
  All("changed", File('c'));
  Host("changed", File('C'));
  All("mode", File('m'));
  Host("mode", File('m', 0755));
  All("gone", File('g'));
  trees_.host.erase("gone");
  Host("new", File('n'));
  All("theirs", File('t'));
  Guest("theirs", File('T'));
  All("theirs gone", File('x'));
  trees_.guest.erase("theirs gone");
  Guest("theirs new", File('y'));
  EXPECT_EQ(Steps(), "removed gone, modified changed, modified mode, added new, ");
  EXPECT_EQ(Conflicts(), "");
  options_.source = SyncSide::kTask;
  EXPECT_EQ(Steps(), "removed theirs gone, modified theirs, added theirs new, ");
  EXPECT_EQ(Conflicts(), "");
}

TEST_F(SyncPlanTest, AStepExpectsWhatWasListed) {
  All("f", File('f'));
  Host("f", File('F'));
  Host("n", File('n'));
  const SyncPlan plan = Plan();
  ASSERT_EQ(plan.changes.size(), 2U);
  EXPECT_EQ(plan.changes[0].step.inode, 'f');
  EXPECT_EQ(plan.changes[0].step.ctime, 'f');
  EXPECT_EQ(plan.changes[1].step.inode, 0);
}

TEST_F(SyncPlanTest, WhatChangedOnBothSidesIsAConflictUnlessItBecameTheSame) {
  All("both", File('a'));
  Host("both", File('b'));
  Guest("both", File('c'));
  All("equal", File('a'));
  Host("equal", File('b'));
  Guest("equal", File('b'));
  All("cut", File('a'));
  trees_.host.erase("cut");
  Guest("cut", File('b'));
  Host("new", File('a'));
  Guest("new", Other('l', "x"));
  All("gone", File('a'));
  trees_.host.erase("gone");
  trees_.guest.erase("gone");
  EXPECT_EQ(Conflicts(), "both modified/modified, cut removed/modified, new added/added, ");
  EXPECT_EQ(Plan().kept.count("gone"), 0U);
  EXPECT_EQ(Plan().kept.at("equal").digest, std::uint64_t{'b'});
  options_.prefer = SyncSide::kHost;
  EXPECT_EQ(Conflicts(), "");
  EXPECT_EQ(Steps(), "removed cut, modified both, modified new, ");
  options_.prefer = SyncSide::kTask;
  EXPECT_EQ(Steps(), "");
  EXPECT_EQ(Plan().kept.at("both").digest, std::uint64_t{'a'}) << "it stays a conflict";
}

TEST_F(SyncPlanTest, WhatBecameOfAnotherKindIsNewWhereTheOtherSideHasNothing) {
  // A push that was killed between the removal of the old thing and the coming of the new one.
  All("now d", File('a'));
  Host("now d", Other('d'));
  Host("now d/x", File('x'));
  trees_.guest.erase("now d");
  All("now f", Other('d'));
  Base("now f/x", File('x'));
  Host("now f", File('f'));
  trees_.guest.erase("now f");
  All("now l", File('l'));
  Host("now l", Other('l', "x"));
  trees_.guest.erase("now l");
  EXPECT_EQ(Conflicts(), "");
  EXPECT_EQ(Steps(), "added now d, added now d/x, added now f, added now l, ");
  // The other way it is a change of the host alone.
  options_.source = SyncSide::kTask;
  EXPECT_EQ(Conflicts(), "");
  EXPECT_EQ(Steps(), "");
  EXPECT_EQ(Plan().kept.count("now d"), 0U);
  options_.source = SyncSide::kHost;
  EXPECT_EQ(Steps(), "added now d, added now d/x, added now f, added now l, ");
  // One of the same kind was changed here and removed there.
  All("f", File('f'));
  Host("f", File('F'));
  trees_.guest.erase("f");
  EXPECT_EQ(Conflicts(), "f modified/removed, ");
}

TEST_F(SyncPlanTest, WithoutABaseWhatIsEqualIsCommonAndNothingIsRemoved) {
  Host("equal", File('e'));
  Guest("equal", File('e'));
  Host("mine", File('m'));
  Guest("theirs", File('t'));
  Host("differs", File('d'));
  Guest("differs", File('D'));
  EXPECT_EQ(Steps(), "added mine, ");
  EXPECT_EQ(Conflicts(), "differs added/added, ");
  EXPECT_EQ(Plan().kept.count("equal"), 1U);
  options_.delete_unknown = true;
  EXPECT_EQ(Steps(), "removed theirs, added mine, ");
}

TEST_F(SyncPlanTest, DirectoriesGoAfterTheirContentAndComeBeforeIt) {
  All("old", Other('d'));
  All("old/a", File('a'));
  trees_.host.clear();
  Host("new", Other('d'));
  Host("new/b", File('b'));
  EXPECT_EQ(Steps(), "removed old/a, removed old, added new, added new/b, ");
}

TEST_F(SyncPlanTest, TheModeOfADirectoryIsNoConflict) {
  All("d", Other('d'));
  Guest("d", Other('d', "", 0700));
  EXPECT_EQ(Steps(), "") << "only the other side changed it";
  Host("d", Other('d', "", 0711));
  EXPECT_EQ(Steps(), "modified d, ");
  EXPECT_EQ(Conflicts(), "");
}

TEST_F(SyncPlanTest, AStampSavesTheDigestUnlessItIsRecent) {
  All("f", File('f'));
  trees_.base["f"].guest = {'f', 0, 'f'};
  EXPECT_TRUE(WantedDigests(trees_).empty());
  Guest("f", File('g'));
  EXPECT_EQ(WantedDigests(trees_), std::vector<std::string>{"f"});
  EXPECT_EQ(StampOf(1, 2, kNow - 3'000'000'000, kNow),
            (state::FileStamp{1, 2, kNow - 3'000'000'000}));
  EXPECT_EQ(StampOf(1, 2, kNow - 1'000'000'000, kNow), state::FileStamp());
  EXPECT_EQ(StampOf(1, 2, kNow + 1, kNow), state::FileStamp());
}

TEST_F(SyncPlanTest, PipesAndFurtherNamesAreTold) {
  Host("pipe", Other('o'));
  Host("one", File('f'));
  Host("two", File('f'));
  const SyncPlan plan = Plan();
  EXPECT_EQ(plan.left_out, std::vector<std::string>{"pipe"});
  EXPECT_EQ(plan.linked, std::vector<std::string>{"two"});
  EXPECT_EQ(plan.changes.size(), 2U);
}

TEST_F(SyncPlanTest, WhatEitherRulesIgnoreIsLeftAloneOnBothSides) {
  archive::Ignores host;
  host.AddGit("", "/build/\n");
  archive::Ignores guest;
  guest.AddGit("", "*.log\n");
  guest.AddGit("cache", "*\n");
  All("build", Other('d'));
  All("build/x", File('x'));
  All("a.log", File('l'));
  Guest("cache/deep/y", File('y'));
  Guest("cache/deep", Other('d'));
  Guest("cache", Other('d'));
  Host("kept", File('k'));
  ASSERT_TRUE(LeaveOut({&host, &guest}, trees_, -1));
  std::set<std::string> left;
  for (const auto& [path, entry] : trees_.host) left.insert(path);
  for (const auto& [path, entry] : trees_.guest) left.insert(path);
  for (const auto& [path, entry] : trees_.base) left.insert(path);
  EXPECT_EQ(left, (std::set<std::string>{"cache", "kept"}));
}

// The rules of a guest may be made to take hours.
TEST_F(SyncPlanTest, RulesThatTakeLongEndAndSoDoesACallThatIsCancelled) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "*a*a*a*a*b\n";
  Guest(std::string(200, 'a'), File('a'));
  archive::Ignores slow({}, 100'000);
  slow.AddGit("", text);
  const Status taken = LeaveOut({&slow}, trees_, -1);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kLimit) << taken.error().message;
  const auto ready = sys::MakeMemoryFile("x");
  const Status cancelled = LeaveOut({}, trees_, ready->get());
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled) << cancelled.error().message;
}

TEST_F(SyncPlanTest, ModesAreThePermissionsAlone) {
  trees_.host["f"] = File('f', 06755);
  trees_.host["l"] = Other('l', "x");
  trees_.host["l"].mode = 0777;
  Normalise(trees_.host);
  EXPECT_EQ(trees_.host["f"].mode, 0755);
  EXPECT_EQ(trees_.host["l"].mode, 0);
}

}  // namespace
}  // namespace pyro::engine
