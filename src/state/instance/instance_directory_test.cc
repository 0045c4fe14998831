#include "state/instance/instance_directory.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include <gtest/gtest.h>

#include "base/json.h"
#include "state/test_support.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

namespace fs = std::filesystem;

class InstanceDirectoryTest : public testing::Test {
 protected:
  Result<sys::FileLock> Create(const InstanceId& id) {
    return CreateInstanceDirectory(state_.path(), TestSpec(id), clock_.Now());
  }

  // A task at rest: finished, and its lock is free.
  void MakeFinished(const InstanceId& id) {
    const auto lock = Create(id);
    ASSERT_TRUE(lock.ok()) << lock.error().message;
    ASSERT_TRUE(FinishCreation(state_.path(), id).ok());
  }

  Result<std::vector<fs::path>> Leftovers(InstanceKind kind, const std::vector<InstanceId>& known) {
    std::vector<InstanceRecord> rows;
    for (const InstanceId& id : known) rows.emplace_back(TestSpec(id));
    auto found = LeftoverDirectories(state_.path(), kind, rows);
    if (found) std::sort(found->begin(), found->end());
    const auto may_have = MayHaveLeftovers(state_.path(), kind, rows);
    EXPECT_TRUE(may_have.ok() && (*may_have || !found || found->empty())) << "it misses one";
    return found;
  }
  Result<std::vector<fs::path>> Leftovers(const std::vector<InstanceId>& known) {
    return Leftovers(InstanceKind::kTask, known);
  }

  InstanceFiles Look(const InstanceId& id) { return *LookAtFiles(state_.path(), id); }

  sys::TestDirectory state_;
  TestClock clock_;
};

TEST_F(InstanceDirectoryTest, ThatOfATaskIsMadeLockedMarkedAndForTheOwnerOnly) {
  const InstanceId id = TestTaskId(1);
  const auto lock = Create(id);
  ASSERT_TRUE(lock.ok()) << lock.error().message;
  const fs::path directory = InstanceDirectory(state_.path(), id);
  EXPECT_EQ(fs::status(directory).permissions(), fs::perms(0700));
  EXPECT_TRUE(fs::is_directory(directory / "commands"));
  EXPECT_FALSE(sys::FileLock::TryAcquire(InstanceLock(state_.path(), id))->has_value());
  EXPECT_EQ(Look(id), InstanceFiles::kCreating);
  const auto text = sys::ReadFile(directory / "manifest.json", kMaxTaskManifestBytes);
  const auto manifest = ParseTaskManifest(*text);
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->id, id);
  EXPECT_EQ(manifest->created_at, clock_.Now());
  EXPECT_TRUE(FinishCreation(state_.path(), id).ok());
  EXPECT_TRUE(FinishCreation(state_.path(), id).ok());
  EXPECT_EQ(Look(id), InstanceFiles::kReady);
  EXPECT_EQ(Create(id).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(Look(id), InstanceFiles::kReady);
}

TEST_F(InstanceDirectoryTest, ASpareBecomesATaskThatIsStillBeingMade) {
  const fs::path spare = state_.path() / "spares" / "pool" / TestId(1).str();
  fs::create_directories(spare);
  std::ofstream(spare / "data.img") << "disk";
  const InstanceRecord task(TestSpec(TestTaskId(1)));
  {
    const auto lock = sys::FileLock::TryAcquire(spare / "lock");
    ASSERT_TRUE(lock && *lock);
    ASSERT_TRUE(TurnIntoTask(state_.path(), spare, task).ok());
    EXPECT_FALSE(fs::exists(spare));
    EXPECT_EQ(Look(task.id), InstanceFiles::kCreating);
    EXPECT_FALSE(sys::FileLock::TryAcquire(InstanceLock(state_.path(), task.id))->has_value());
    EXPECT_EQ(*sys::ReadFile(DataImage(state_.path(), task.id), 10), "disk");
    EXPECT_TRUE(Leftovers({})->empty());
  }
  EXPECT_EQ(Leftovers({})->size(), 1u);  // Its supervisor has been killed.
}

TEST_F(InstanceDirectoryTest, ASpareNeverTakesThePlaceOfATask) {
  const fs::path spare = state_.path() / "spares" / "pool" / TestId(1).str();
  fs::create_directories(spare);
  const InstanceId id = TestTaskId(1);
  MakeFinished(id);
  EXPECT_EQ(TurnIntoTask(state_.path(), spare, InstanceRecord(TestSpec(id))).error().code,
            ErrorCode::kAlreadyExists);
  EXPECT_EQ(Look(id), InstanceFiles::kReady);
  EXPECT_TRUE(fs::is_empty(spare));
}

TEST_F(InstanceDirectoryTest, RemovalOfATaskHasAPointOfNoReturn) {
  const InstanceId id = TestTaskId(1);
  MakeFinished(id);
  EXPECT_TRUE(RetireDirectory(state_.path(), id).ok());
  EXPECT_EQ(Look(id), InstanceFiles::kRemoving);
  EXPECT_FALSE(*IsAdoptable(state_.path(), id));
  EXPECT_TRUE(fs::is_directory(RetiredDirectory(state_.path(), id)));
  EXPECT_EQ(Leftovers({})->size(), 1u);
  // Not while its row exists: no call would delete the row later.
  EXPECT_TRUE(Leftovers({id})->empty());
  EXPECT_TRUE(RemoveInstanceDirectory(state_.path(), id).ok());
  EXPECT_EQ(Look(id), InstanceFiles::kMissing);
  EXPECT_TRUE(fs::is_empty(InstancesDirectory(state_.path(), InstanceKind::kTask)));
  EXPECT_TRUE(RemoveInstanceDirectory(state_.path(), id).ok());
}

TEST_F(InstanceDirectoryTest, WithARowForEachDirectoryTheFirstLookFindsNothing) {
  const auto may_have = [this](const std::vector<InstanceRecord>& rows) {
    return *MayHaveLeftovers(state_.path(), InstanceKind::kTask, rows);
  };
  const InstanceRecord row(TestSpec(TestTaskId(1)));
  EXPECT_FALSE(may_have({}));  // Nothing was ever made.
  MakeFinished(TestTaskId(1));
  EXPECT_FALSE(may_have({row}));
  EXPECT_TRUE(may_have({}));
  ASSERT_TRUE(RetireDirectory(state_.path(), TestTaskId(1)).ok());
  EXPECT_TRUE(may_have({row}));
}

TEST_F(InstanceDirectoryTest, NothingThatMayHoldWorkIsALeftover) {
  EXPECT_TRUE(Leftovers({})->empty());  // Nothing was ever made.
  const auto held = Create(TestTaskId(1));
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(Create(TestTaskId(2)).ok());  // Cut off: its lock is let go at once.
  ASSERT_TRUE(Create(TestTaskId(3)).ok());  // The same, but its row exists.
  MakeFinished(TestTaskId(4));
  MakeFinished(TestTaskId(5));
  fs::remove(InstanceDirectory(state_.path(), TestTaskId(5)) / "manifest.json");
  const fs::path tasks = InstancesDirectory(state_.path(), InstanceKind::kTask);
  fs::create_directory(tasks / TestTaskId(6).str());  // Nothing in it: not made by us, or emptied.
  fs::create_directory(tasks / (".gone-" + TestTaskId(7).str()));
  fs::create_directory(tasks / (".new-" + TestTaskId(8).str()));
  fs::create_directory(tasks / "notes");

  auto leftovers = Leftovers({TestTaskId(3)});
  ASSERT_TRUE(leftovers.ok()) << leftovers.error().message;
  std::vector<fs::path> expected = {InstanceDirectory(state_.path(), TestTaskId(2)),
                                    tasks / (".gone-" + TestTaskId(7).str()),
                                    tasks / (".new-" + TestTaskId(8).str())};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(*leftovers, expected);
  EXPECT_TRUE(*IsAdoptable(state_.path(), TestTaskId(4)));
  for (const int other : {1, 2, 3, 7, 8, 9}) {
    EXPECT_FALSE(*IsAdoptable(state_.path(), TestTaskId(static_cast<std::uint8_t>(other))))
        << other;
  }
}

TEST_F(InstanceDirectoryTest, FailedCreationLeavesNothing) {
  fs::create_directories(InstancesDirectory(state_.path(), InstanceKind::kTask) /
                         (".new-" + TestTaskId(1).str()));
  EXPECT_EQ(Create(TestTaskId(1)).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(Look(TestTaskId(1)), InstanceFiles::kMissing);
  InstanceSpec bad = TestSpec(TestTaskId(2));
  bad.vcpu_count = 0;
  EXPECT_FALSE(CreateInstanceDirectory(state_.path(), bad, clock_.Now()).ok());
  EXPECT_EQ(Look(TestTaskId(2)), InstanceFiles::kMissing);
}

TEST_F(InstanceDirectoryTest, ThatOfAVmIsMadeLockedAndForTheOwnerOnly) {
  const InstanceId id = TestId(1);
  const auto lock = Create(id);
  ASSERT_TRUE(lock.ok()) << lock.error().message;
  const fs::path directory = InstanceDirectory(state_.path(), id);
  EXPECT_EQ(fs::status(directory).permissions(), fs::perms(0700));
  EXPECT_FALSE(sys::FileLock::TryAcquire(InstanceLock(state_.path(), id))->has_value());
  // Nothing but its lock: it can be lost.
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 1);
  EXPECT_EQ(Look(id), InstanceFiles::kReady);
  EXPECT_EQ(Create(id).error().code, ErrorCode::kAlreadyExists);
}

TEST_F(InstanceDirectoryTest, RemovalOfAVmIsIdempotentAndTakesEverything) {
  const InstanceId id = TestId(1);
  const auto lock = Create(id);
  ASSERT_TRUE(lock.ok());
  fs::create_directories(InstanceDirectory(state_.path(), id) / "a/b");
  EXPECT_TRUE(RemoveInstanceDirectory(state_.path(), id).ok());
  EXPECT_TRUE(fs::is_empty(InstancesDirectory(state_.path(), InstanceKind::kVm)));
  EXPECT_TRUE(RemoveInstanceDirectory(state_.path(), id).ok());
}

TEST_F(InstanceDirectoryTest, LeftoversOfVmsHaveNeitherARowNorAHolder) {
  EXPECT_TRUE(Leftovers(InstanceKind::kVm, {})->empty());  // Nothing was ever made.
  const auto held = Create(TestId(1));
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(Create(TestId(2)).ok());  // Its lock is let go at once.
  ASSERT_TRUE(Create(TestId(3)).ok());
  const fs::path vms = InstancesDirectory(state_.path(), InstanceKind::kVm);
  const fs::path no_lock_yet = InstanceDirectory(state_.path(), TestId(4));
  const fs::path half_removed = vms / (".gone-" + TestId(5).str());
  for (const auto& path : {no_lock_yet, half_removed, vms / "notes"}) fs::create_directory(path);
  const auto leftovers = Leftovers(InstanceKind::kVm, {TestId(2)});
  ASSERT_TRUE(leftovers.ok()) << leftovers.error().message;
  std::vector<fs::path> expected = {InstanceDirectory(state_.path(), TestId(3)), no_lock_yet,
                                    half_removed};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(*leftovers, expected);
}

TEST(TaskManifestTest, TheTextOfSchemaOneStays) {
  constexpr char kText[] = R"({
  "allow_host_compat": true,
  "cache": true,
  "created_at_ms": 1700000000123,
  "cwd": "src",
  "disk_mib": 2048,
  "environment": "debian:12",
  "environment_digest": "sha256:beef",
  "labels": {
    "team": "web"
  },
  "machine": "tcg",
  "mem_mib": 512,
  "name": "mine",
  "network": true,
  "network_rules": "allow registry.example:443\ndeny *.example\n",
  "schema": 1,
  "secret_refs": "TOKEN pyro-secret-1 api.example:443 env:TOKEN\n",
  "task_id": "task_aaaaaaaaaaaaaaaaaaaaaaaaaa",
  "timeout_seconds": 0,
  "ttl_seconds": 600,
  "user": "daemon:users",
  "vcpu_count": 2
}
)";
  const auto task = ParseTaskManifest(kText);
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(FormatTaskManifest(*task), kText);
  EXPECT_EQ(task->mem_mib, 512);
  EXPECT_EQ(task->ttl, std::chrono::seconds(600));
  EXPECT_EQ(task->name, "mine");
  EXPECT_EQ(task->created_at, WallTime(std::chrono::milliseconds(1'700'000'000'123)));
  EXPECT_EQ(task->machine, "tcg");
  EXPECT_TRUE(task->cache);
  EXPECT_EQ(task->secret_refs, "TOKEN pyro-secret-1 api.example:443 env:TOKEN\n");
  EXPECT_EQ(task->network_rules, "allow registry.example:443\ndeny *.example\n");
}

TEST(TaskManifestTest, OneFromBeforeItsNewFieldsLacksThem) {
  InstanceRecord manifest(TestSpec(TestTaskId(1)));
  manifest.created_at = TestClock().Now();
  Json json = *ParseJson(FormatTaskManifest(manifest), kMaxTaskManifestBytes);
  for (const char* name :
       {"name", "machine", "labels", "cwd", "user", "network_rules", "secret_refs", "cache"}) {
    ASSERT_EQ(json.erase(name), 1u) << name;
  }
  const auto task = ParseTaskManifest(json.dump());
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(task->name, "");
  EXPECT_EQ(task->machine, "");
  EXPECT_TRUE(task->labels.empty());
  EXPECT_FALSE(task->timeout_seconds);
}

std::string MoreLabelsThanATaskTakes() {
  Json labels = Json::object();
  for (std::size_t i = 0; i <= kMaxLabels; ++i) labels["k" + std::to_string(i)] = "";
  return labels.dump();
}

TEST(TaskManifestTest, HostileOnesAreDataLoss) {
  InstanceRecord manifest(TestSpec(TestTaskId(1)));
  manifest.created_at = TestClock().Now();
  const std::string good = FormatTaskManifest(manifest);
  ASSERT_TRUE(ParseTaskManifest(good).ok());
  EXPECT_EQ(FormatTaskManifest(*ParseTaskManifest(good)), good);
  const auto with = [&](std::string_view from, std::string_view to) {
    return TextWith(good, from, to);
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
      with("\"machine\": \"\"", "\"machine\": 1"),
      with("\"labels\": {}", "\"labels\": []"),
      with("\"labels\": {}", "\"labels\": {\"a\": 1}"),
      with("\"labels\": {}", "\"labels\": {\"a\": \"" + std::string(4097, 'x') + "\"}"),
      with("\"labels\": {}", "\"labels\": " + MoreLabelsThanATaskTakes()),
      with("\"machine\": \"\"", "\"machine\": \"a word that is too long\""),
      with("\"created_at_ms\": 17", "\"created_at_ms\": 18446744073709551615, \"x\": 17")};
  for (const std::string& text : bad) {
    const auto parsed = ParseTaskManifest(text);
    ASSERT_FALSE(parsed.ok()) << text.substr(0, 200);
    EXPECT_EQ(parsed.error().code, ErrorCode::kDataLoss);
  }
}

}  // namespace
}  // namespace pyro::state
