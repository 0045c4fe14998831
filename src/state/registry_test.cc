#include "state/registry.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/check.h"
#include "state/test_support.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

using std::chrono::seconds;

class RegistryTest : public testing::Test {
 protected:
  static Registry MustOpen(const std::filesystem::path& path, const Clock& clock) {
    auto registry = Registry::Open(path, clock);
    PYRO_CHECK(registry.ok());
    return std::move(*registry);
  }

  ErrorCode CodeOf(const InstanceId& id, InstanceEvent event) {
    const auto vm = registry_.Apply(id, event);
    return vm ? ErrorCode{} : vm.error().code;
  }

  sys::TestDirectory directory_;
  TestClock clock_;
  Registry registry_ = MustOpen(directory_.path() / "state", clock_);
};

TEST_F(RegistryTest, MakesItsDirectoryForTheOwnerOnly) {
  EXPECT_EQ(std::filesystem::status(directory_.path() / "state").permissions(),
            std::filesystem::perms(0700));
  EXPECT_EQ(std::filesystem::status(directory_.path() / "state/registry.db").permissions(),
            std::filesystem::perms(0600));
}

TEST_F(RegistryTest, EveryFieldSurvivesReopening) {
  InstanceSpec spec{.id = TestId(1),
                    .environment = "debian:12-build",
                    .environment_digest = "sha256:0123",
                    .owner = InstanceOwner::kRun,
                    .vcpu_count = 3,
                    .mem_mib = 513,
                    .disk_mib = 4321,
                    .ttl = seconds(77),
                    .network = true,
                    .allow_host_compat = true};
  const auto created = registry_.Insert(spec);
  ASSERT_TRUE(created.ok()) << created.error().message;
  EXPECT_EQ(created->state, InstanceState::kCreated);
  EXPECT_EQ(created->execution_mode, ExecutionMode::kPending);
  EXPECT_EQ(created->created_at, clock_.Now());
  EXPECT_EQ(created->started_at, std::nullopt);
  EXPECT_EQ(created->expires_at, clock_.Now() + seconds(77));
  ExpectSame(*registry_.Get(spec.id), *created);

  clock_.Advance(seconds(5));
  const auto started = registry_.Apply(spec.id, InstanceEvent::kStart,
                                       {.execution_mode = ExecutionMode::kHostCompat,
                                        .accelerator = "tcg",
                                        .network_json = R"({"address":"10.0.2.15"})",
                                        .last_error = "it's \"odd\""});
  ASSERT_TRUE(started.ok()) << started.error().message;
  EXPECT_EQ(started->started_at, clock_.Now());
  Registry other = MustOpen(directory_.path() / "state", clock_);
  const auto stored = other.Get(spec.id);
  ASSERT_TRUE(stored.ok());
  ExpectSame(*stored, *started);
  EXPECT_EQ(stored->owner, InstanceOwner::kRun);
  EXPECT_EQ(stored->environment, "debian:12-build");
  EXPECT_EQ(stored->last_error, "it's \"odd\"");
}

TEST_F(RegistryTest, EventsRenewTheLeaseExactlyWhereTheyAreUses) {
  const InstanceId id = TestId(1);
  ASSERT_TRUE(registry_.Insert(TestSpec(id)).ok());
  const auto expires_after = [&](InstanceEvent event) {
    clock_.Advance(seconds(10));
    const auto vm = registry_.Apply(id, event);
    EXPECT_TRUE(vm.ok());
    return vm->expires_at - clock_.Now();
  };
  EXPECT_EQ(expires_after(InstanceEvent::kStart), seconds(600));
  EXPECT_EQ(expires_after(InstanceEvent::kExec), seconds(600));
  EXPECT_EQ(expires_after(InstanceEvent::kRenew), seconds(600));
  EXPECT_EQ(expires_after(InstanceEvent::kStop), seconds(590));
  EXPECT_EQ(expires_after(InstanceEvent::kLost), seconds(580));
}

TEST_F(RegistryTest, StartClearsTheErrorAndTheEndClearsTheNetwork) {
  const InstanceId id = TestId(1);
  ASSERT_TRUE(registry_.Insert(TestSpec(id)).ok());
  ASSERT_TRUE(registry_.Apply(id, InstanceEvent::kStart, {.network_json = "{}"}).ok());
  const auto lost = registry_.Apply(id, InstanceEvent::kLost, {.last_error = "the guest died"});
  EXPECT_EQ(lost->network_json, "");
  EXPECT_EQ(lost->last_error, "the guest died");
  EXPECT_EQ(registry_.Apply(id, InstanceEvent::kStart)->last_error, "");
}

TEST_F(RegistryTest, RefusedEventChangesNothingAndNamesTheVm) {
  const InstanceId id = TestId(1);
  const auto before = registry_.Insert(TestSpec(id));
  const auto refused = registry_.Apply(id, InstanceEvent::kExec, {.last_error = "x"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kWrongState);
  EXPECT_NE(refused.error().message.find(id.str()), std::string::npos);
  ExpectSame(*registry_.Get(id), *before);
  EXPECT_EQ(CodeOf(TestId(2), InstanceEvent::kStart), ErrorCode::kNotFound);
}

TEST_F(RegistryTest, DeleteIsIdempotentAndSparesAStartedVm) {
  const InstanceId id = TestId(1);
  ASSERT_TRUE(registry_.Insert(TestSpec(id)).ok());
  ASSERT_TRUE(registry_.Apply(id, InstanceEvent::kStart).ok());
  EXPECT_EQ(registry_.Delete(id).error().code, ErrorCode::kWrongState);
  ASSERT_TRUE(registry_.Apply(id, InstanceEvent::kStop).ok());
  EXPECT_TRUE(registry_.Delete(id).ok());
  EXPECT_TRUE(registry_.Delete(id).ok());
  EXPECT_EQ(registry_.Get(id).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(registry_.List(InstanceKind::kVm)->empty());
}

TEST_F(RegistryTest, InsertRefusesTakenIdsAndNumbersOutOfRange) {
  ASSERT_TRUE(registry_.Insert(TestSpec(TestId(1))).ok());
  EXPECT_EQ(registry_.Insert(TestSpec(TestId(1))).error().code, ErrorCode::kAlreadyExists);
  InstanceSpec spec = TestSpec(TestId(2));
  spec.vcpu_count = 0;
  EXPECT_EQ(registry_.Insert(spec).error().code, ErrorCode::kInvalidArgument);
  spec = TestSpec(TestId(2));
  spec.ttl = seconds(0);
  EXPECT_EQ(registry_.Insert(spec).error().code, ErrorCode::kInvalidArgument);
  spec.ttl = kMaxTtl + seconds(1);
  EXPECT_EQ(registry_.Insert(spec).error().code, ErrorCode::kInvalidArgument);
  spec.ttl = kMaxTtl;
  EXPECT_TRUE(registry_.Insert(spec).ok());
}

TEST_F(RegistryTest, HostCompatIsNotStoredForAVmThatDidNotAllowIt) {
  ASSERT_TRUE(registry_.Insert(TestSpec(TestId(1))).ok());
  EXPECT_EQ(
      registry_
          .Apply(TestId(1), InstanceEvent::kStart, {.execution_mode = ExecutionMode::kHostCompat})
          .error()
          .code,
      ErrorCode::kInternal);
  EXPECT_EQ(registry_.Get(TestId(1))->state, InstanceState::kCreated);
}

TEST_F(RegistryTest, FindTakesAnUnambiguousBeginning) {
  const InstanceId a = TestId(1, 1);
  const InstanceId b = TestId(1, 255);
  const InstanceId c = TestId(255);
  for (const InstanceId& id : {a, b, c}) ASSERT_TRUE(registry_.Insert(TestSpec(id)).ok());
  EXPECT_EQ(registry_.Find(InstanceKind::kVm, c.str().substr(0, 9))->id, c);
  EXPECT_EQ(registry_.Find(InstanceKind::kVm, c.str().substr(3, 6))->id, c);
  EXPECT_EQ(registry_.Find(InstanceKind::kVm, a.str())->id, a);
  const auto several = registry_.Find(InstanceKind::kVm, a.str().substr(0, 12));
  EXPECT_EQ(several.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(several.error().message.find("2 ids"), std::string::npos) << several.error().message;
  EXPECT_EQ(registry_.Find(InstanceKind::kVm, "vm_zzzzzz").error().code, ErrorCode::kNotFound);
  for (const char* bad : {"", "vm_", "vm_aaaaa", "abcde", "vm_aaa%aaa", "task_aaaaaa"}) {
    EXPECT_EQ(registry_.Find(InstanceKind::kVm, bad).error().code, ErrorCode::kInvalidArgument)
        << bad;
  }
}

TEST_F(RegistryTest, ListsOldestFirstWithTheDigestsInUse) {
  InstanceSpec old_one = TestSpec(TestId(9));
  InstanceSpec young_one = TestSpec(TestId(1));
  young_one.ttl = seconds(10);
  young_one.environment_digest = "sha256:bbbb";
  ASSERT_TRUE(registry_.Insert(old_one).ok());
  clock_.Advance(seconds(1));
  ASSERT_TRUE(registry_.Insert(young_one).ok());
  const auto all = registry_.List(InstanceKind::kVm);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ(all->front().id, old_one.id);
  EXPECT_EQ(*registry_.DigestsInUse(), (std::set<std::string>{"sha256:aaaa", "sha256:bbbb"}));
}

TEST_F(RegistryTest, ExclusiveBodyIsStoredWholeOrNotAtAll) {
  const Status failed = registry_.WithExclusive([&]() -> Status {
    EXPECT_TRUE(registry_.Insert(TestSpec(TestId(1))).ok());
    EXPECT_TRUE(registry_.Apply(TestId(1), InstanceEvent::kStart).ok());
    return MakeError(ErrorCode::kNoSpace, "no directory");
  });
  EXPECT_EQ(failed.error().code, ErrorCode::kNoSpace);
  EXPECT_TRUE(registry_.List(InstanceKind::kVm)->empty());

  EXPECT_TRUE(registry_
                  .WithExclusive([&]() -> Status {
                    EXPECT_TRUE(registry_.Insert(TestSpec(TestId(1))).ok());
                    EXPECT_TRUE(registry_.Apply(TestId(1), InstanceEvent::kStart).ok());
                    return OkStatus();
                  })
                  .ok());
  EXPECT_EQ(registry_.Get(TestId(1))->state, InstanceState::kStarted);
}

TEST_F(RegistryTest, BrokenFileSaysWhatToDo) {
  const auto other = directory_.path() / "other";
  std::filesystem::create_directory(other);
  std::ofstream(other / "registry.db") << "this is not a database, and long enough to be looked at";
  const auto opened = Registry::Open(other, clock_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss);
  EXPECT_NE(opened.error().hint.find("move it away"), std::string::npos);
}

TEST_F(RegistryTest, RowThatNoPyroWritesIsDataLoss) {
  auto database = db::Database::Open(directory_.path() / "state/registry.db");
  ASSERT_TRUE(registry_.Insert(TestSpec(TestId(1))).ok());
  ASSERT_TRUE(database->Execute("UPDATE instances SET id = 'vm_../../../etc'").ok());
  EXPECT_EQ(registry_.List(InstanceKind::kVm).error().code, ErrorCode::kDataLoss);
}

TEST_F(RegistryTest, ANumberOrTextBeyondItsLimitIsDataLoss) {
  constexpr db::Sql kChanges[] = {
      "UPDATE instances SET vcpu_count = 1099511627777",
      "UPDATE instances SET mem_mib = 9223372036854775807",
      "UPDATE instances SET created_at = -1",
      "UPDATE instances SET last_used_at = 9223372036854775807",
      "UPDATE instances SET expires_at = -9223372036854775808",
      "UPDATE instances SET environment = printf('%05000d', 1)",
  };
  auto database = db::Database::Open(directory_.path() / "state/registry.db");
  ASSERT_TRUE(registry_.Insert(TestSpec(TestId(1))).ok());
  for (const db::Sql& change : kChanges) {
    ASSERT_TRUE(database->Execute(change).ok()) << change.text();
    const auto listed = registry_.List(InstanceKind::kVm);
    ASSERT_FALSE(listed.ok()) << change.text();
    EXPECT_EQ(listed.error().code, ErrorCode::kDataLoss) << change.text();
    ASSERT_TRUE(database->Execute("DELETE FROM instances").ok());
    ASSERT_TRUE(registry_.Insert(TestSpec(TestId(1))).ok());
  }
}

}  // namespace
}  // namespace pyro::state
