#include "registry/task_directory.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include <gtest/gtest.h>

#include "registry/task_manifest.h"
#include "registry/test_support.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::registry {
namespace {

namespace fs = std::filesystem;

class TaskDirectoryTest : public testing::Test {
 protected:
  Result<sys::FileLock> Create(const InstanceId& id) {
    return CreateTaskDirectory(state_.path(), TestSpec(id), clock_.Now());
  }

  // A task at rest: finished, and its lock is free.
  void MakeFinished(const InstanceId& id) {
    const auto lock = Create(id);
    ASSERT_TRUE(lock.ok()) << lock.error().message;
    ASSERT_TRUE(FinishTaskCreation(state_.path(), id).ok());
  }

  TaskFiles Look(const InstanceId& id) { return *LookAtTaskFiles(state_.path(), id); }

  sys::TestDirectory state_;
  TestClock clock_;
};

TEST_F(TaskDirectoryTest, IsMadeLockedMarkedAndForTheOwnerOnly) {
  const InstanceId id = TestTaskId(1);
  const auto lock = Create(id);
  ASSERT_TRUE(lock.ok()) << lock.error().message;
  const fs::path directory = TaskDirectory(state_.path(), id);
  EXPECT_EQ(fs::status(directory).permissions(), fs::perms(0700));
  EXPECT_TRUE(fs::is_directory(directory / "commands"));
  EXPECT_FALSE(sys::FileLock::TryAcquire(TaskLock(state_.path(), id))->has_value());
  EXPECT_EQ(Look(id), TaskFiles::kCreating);
  const auto text = sys::ReadFile(directory / "manifest.json", kMaxTaskManifestBytes);
  const auto manifest = ParseTaskManifest(*text);
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->id, id);
  EXPECT_EQ(manifest->created_at, clock_.Now());
  EXPECT_TRUE(FinishTaskCreation(state_.path(), id).ok());
  EXPECT_TRUE(FinishTaskCreation(state_.path(), id).ok());
  EXPECT_EQ(Look(id), TaskFiles::kReady);
  EXPECT_EQ(Create(id).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(Look(id), TaskFiles::kReady);
}

TEST_F(TaskDirectoryTest, RemovalHasAPointOfNoReturn) {
  const InstanceId id = TestTaskId(1);
  MakeFinished(id);
  EXPECT_TRUE(RetireTaskDirectory(state_.path(), id).ok());
  EXPECT_EQ(Look(id), TaskFiles::kRemoving);
  EXPECT_FALSE(*IsAdoptable(state_.path(), id));
  EXPECT_TRUE(fs::is_directory(RetiredTaskDirectory(state_.path(), id)));
  EXPECT_EQ(LeftoverTaskDirectories(state_.path(), {})->size(), 1u);
  // Not while its row exists: no call would delete the row later.
  EXPECT_TRUE(LeftoverTaskDirectories(state_.path(), {id})->empty());
  EXPECT_TRUE(RemoveTaskDirectory(state_.path(), id).ok());
  EXPECT_EQ(Look(id), TaskFiles::kMissing);
  EXPECT_TRUE(fs::is_empty(TasksDirectory(state_.path())));
  EXPECT_TRUE(RemoveTaskDirectory(state_.path(), id).ok());
}

TEST_F(TaskDirectoryTest, NothingThatMayHoldWorkIsALeftover) {
  EXPECT_TRUE(LeftoverTaskDirectories(state_.path(), {})->empty());  // Nothing was ever made.
  const auto held = Create(TestTaskId(1));
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(Create(TestTaskId(2)).ok());  // Cut off: its lock is let go at once.
  ASSERT_TRUE(Create(TestTaskId(3)).ok());  // The same, but its row exists.
  MakeFinished(TestTaskId(4));
  MakeFinished(TestTaskId(5));
  fs::remove(TaskDirectory(state_.path(), TestTaskId(5)) / "manifest.json");
  const fs::path tasks = TasksDirectory(state_.path());
  fs::create_directory(tasks / TestTaskId(6).str());  // Nothing in it: not made by us, or emptied.
  fs::create_directory(tasks / (".gone-" + TestTaskId(7).str()));
  fs::create_directory(tasks / (".new-" + TestTaskId(8).str()));
  fs::create_directory(tasks / "notes");

  auto leftovers = LeftoverTaskDirectories(state_.path(), {TestTaskId(3)});
  ASSERT_TRUE(leftovers.ok()) << leftovers.error().message;
  std::vector<fs::path> expected = {TaskDirectory(state_.path(), TestTaskId(2)),
                                    tasks / (".gone-" + TestTaskId(7).str()),
                                    tasks / (".new-" + TestTaskId(8).str())};
  std::sort(leftovers->begin(), leftovers->end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(*leftovers, expected);
  EXPECT_TRUE(*IsAdoptable(state_.path(), TestTaskId(4)));
  for (const int other : {1, 2, 3, 7, 8, 9}) {
    EXPECT_FALSE(*IsAdoptable(state_.path(), TestTaskId(static_cast<std::uint8_t>(other))))
        << other;
  }
}

TEST_F(TaskDirectoryTest, FailedCreationLeavesNothing) {
  fs::create_directories(TasksDirectory(state_.path()) / (".new-" + TestTaskId(1).str()));
  EXPECT_EQ(Create(TestTaskId(1)).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(Look(TestTaskId(1)), TaskFiles::kMissing);
  InstanceSpec bad = TestSpec(TestTaskId(2));
  bad.vcpu_count = 0;
  EXPECT_FALSE(CreateTaskDirectory(state_.path(), bad, clock_.Now()).ok());
  EXPECT_EQ(Look(TestTaskId(2)), TaskFiles::kMissing);
}

TEST(TaskManifestTest, HostileOnesAreDataLoss) {
  InstanceRecord manifest(TestSpec(TestTaskId(1)));
  manifest.created_at = TestClock().Now();
  const std::string good = FormatTaskManifest(manifest);
  ASSERT_TRUE(ParseTaskManifest(good).ok());
  EXPECT_EQ(FormatTaskManifest(*ParseTaskManifest(good)), good);
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::string bad[] = {
      "",
      "null",
      "[]",
      "{}",
      good.substr(0, good.size() / 2),
      std::string(kMaxTaskManifestBytes, ' ') + good,
      std::string(100, '['),
      with("\"schema\": 1", "\"schema\": 2"),
      with("task_", "../.."),
      with("\"vcpu_count\": 1", "\"vcpu_count\": 0"),
      with("\"mem_mib\": 1024", "\"mem_mib\": -1"),
      with("\"ttl_seconds\": 600", "\"ttl_seconds\": 99999999999"),
      with("\"network\": false", "\"network\": \"no\""),
      with("\"created_at_ms\": 17", "\"created_at_ms\": 18446744073709551615, \"x\": 17")};
  for (const std::string& text : bad) {
    const auto parsed = ParseTaskManifest(text);
    ASSERT_FALSE(parsed.ok()) << text.substr(0, 200);
    EXPECT_EQ(parsed.error().code, ErrorCode::kDataLoss);
  }
}

}  // namespace
}  // namespace pyro::registry
