#include "state/schema.h"

#include <initializer_list>

#include <gtest/gtest.h>

#include "state/registry.h"
#include "state/test_support.h"
#include "state/testdata/schema_v1.h"
#include "state/testdata/schema_v10.h"
#include "state/testdata/schema_v11.h"
#include "state/testdata/schema_v2.h"
#include "state/testdata/schema_v3.h"
#include "state/testdata/schema_v5.h"
#include "state/testdata/schema_v6.h"
#include "state/testdata/schema_v7.h"
#include "state/testdata/schema_v8.h"
#include "state/testdata/schema_v9.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

// Tables, indexes, triggers and views as SQLite itself describes them, and the version.
std::string Dump(const std::filesystem::path& file) {
  auto database = db::Database::Open(file);
  auto select = database->Prepare(
      "SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name");
  std::string dump;
  while (*select->Step()) dump += select->Text(0) + "\n";
  auto version = database->Prepare("PRAGMA user_version");
  EXPECT_TRUE(*version->Step());
  return dump + "PRAGMA user_version = " + std::to_string(version->Int(0)) + ";\n";
}

// A registry as an earlier version left it; each script goes on from the one before.
void MakeRegistry(const sys::TestDirectory& directory, std::initializer_list<db::Sql> scripts) {
  auto database = db::Database::Open(directory.path() / "registry.db");
  ASSERT_TRUE(database.ok()) << database.error().message;
  for (const db::Sql script : scripts) {
    const Status made = database->Execute(script);
    ASSERT_TRUE(made.ok()) << made.error().message;
  }
}

TEST(SchemaTest, IsTheOneInTheGoldenFile) {
  const sys::TestDirectory directory;
  ASSERT_TRUE(Registry::Open(directory.path(), SystemClock()).ok());
  const auto golden = sys::ReadFile(PYRO_STATE_TESTDATA "/schema.sql", 1 << 20);
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  EXPECT_EQ(Dump(directory.path() / "registry.db"), *golden)
      << "released migrations never change; after appending one, review and store the new dump";
}

TEST(SchemaTest, VersionOneOpensWithItsVms) {
  const sys::TestDirectory directory;
  MakeRegistry(directory, {kSchemaV1});
  TestClock clock;
  auto registry = Registry::Open(directory.path(), clock);
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  const auto vms = registry->List(InstanceKind::kVm);
  ASSERT_TRUE(vms.ok()) << vms.error().message;
  ASSERT_EQ(vms->size(), 2u);
  EXPECT_EQ(vms->front().id, TestId(1));
  EXPECT_EQ(vms->front().state, InstanceState::kCreated);
  const InstanceRecord& run = vms->back();
  EXPECT_EQ(run.environment, "debian:12-build");
  EXPECT_EQ(run.environment_digest, "sha256:bbbb");
  EXPECT_EQ(run.owner, InstanceOwner::kRun);
  EXPECT_EQ(run.vcpu_count, 2);
  EXPECT_EQ(run.mem_mib, 2048);
  EXPECT_EQ(run.ttl, std::chrono::seconds(60));
  EXPECT_TRUE(run.network && run.allow_host_compat);
  EXPECT_EQ(run.state, InstanceState::kStarted);
  EXPECT_EQ(run.execution_mode, ExecutionMode::kGuestVirtioSerial);
  EXPECT_EQ(run.accelerator, "tcg");
  EXPECT_EQ(run.network_json, R"({"address":"10.0.2.15"})");
  EXPECT_EQ(run.last_error, "the guest's clock stood");
  EXPECT_EQ(run.expires_at - run.last_used_at, std::chrono::seconds(60));
  EXPECT_TRUE(registry->Apply(TestId(1), InstanceEvent::kStart).ok());
  EXPECT_TRUE(registry->List(InstanceKind::kTask)->empty());
  EXPECT_TRUE(registry->Insert(TestSpec(TestTaskId(1))).ok());
  EXPECT_EQ(registry->List(InstanceKind::kVm)->size(), 2u);
}

TEST(SchemaTest, VersionTwoOpensWithItsTasksAndCommands) {
  const sys::TestDirectory directory;
  MakeRegistry(directory, {kSchemaV1, kSchemaV2});
  TestClock clock;
  auto registry = Registry::Open(directory.path(), clock);
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  EXPECT_EQ(registry->List(InstanceKind::kVm)->size(), 2u);
  ASSERT_EQ(registry->List(InstanceKind::kTask)->size(), 1u);
  const InstanceId id = registry->List(InstanceKind::kTask)->front().id;
  const auto commands = registry->ListCommands(id, {});
  ASSERT_TRUE(commands.ok()) << commands.error().message;
  ASSERT_EQ(commands->size(), 2u);
  EXPECT_EQ(commands->front().argv, (std::vector<std::string>{"echo", "hi"}));
  ASSERT_TRUE(commands->front().end.has_value());
  EXPECT_EQ(commands->front().end->ExitCode(), 3);
  EXPECT_FALSE(commands->front().end->output_left_open);
  EXPECT_FALSE(commands->back().end.has_value());
  CommandEnd end;
  end.output_left_open = true;
  ASSERT_TRUE(registry->EndCommand(id, 2, end).ok());
  EXPECT_TRUE(registry->GetCommand(id, 2)->end->output_left_open);
}

TEST(SchemaTest, VersionThreeOpensWithEveryFieldOfVmsAndTasks) {
  const sys::TestDirectory directory;
  MakeRegistry(directory, {kSchemaV1, kSchemaV2, kSchemaV3});
  TestClock clock;
  auto registry = Registry::Open(directory.path(), clock);
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  const auto at = [](std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); };

  InstanceRecord vm(TestSpec(TestId(2)));
  vm.environment_digest = "sha256:cccc";
  vm.vcpu_count = 3;
  vm.mem_mib = 513;
  vm.ttl = std::chrono::seconds(77);
  vm.allow_host_compat = true;
  vm.state = InstanceState::kStopped;
  vm.execution_mode = ExecutionMode::kHostCompat;
  vm.last_error = "it's \"odd\"";
  vm.created_at = at(1'700'000'000'500);
  vm.started_at = at(1'700'000'000'600);
  vm.last_used_at = at(1'700'000'000'700);
  vm.expires_at = at(1'700'000'077'700);
  const auto vms = registry->List(InstanceKind::kVm);
  ASSERT_TRUE(vms.ok()) << vms.error().message;
  ASSERT_EQ(vms->size(), 3u);
  ExpectSame(vms->at(1), vm);

  InstanceRecord task(TestSpec(TestTaskId(3)));
  task.environment = "debian:12-build";
  task.environment_digest = "sha256:dddd";
  task.vcpu_count = 4;
  task.mem_mib = 4096;
  task.disk_mib = 512;
  task.ttl = std::chrono::seconds(3600);
  task.network = true;
  task.allow_host_compat = true;
  task.state = InstanceState::kStarted;
  task.execution_mode = ExecutionMode::kHostCompat;
  task.accelerator = "kvm";
  task.network_json = R"({"address":"10.0.2.15"})";
  task.last_error = "full";
  task.created_at = at(1'700'000'005'000);
  task.started_at = at(1'700'000'006'000);
  task.last_used_at = at(1'700'000'007'000);
  task.expires_at = at(1'700'003'607'000);
  task.next_sequence = 8;
  task.command_count = 3;
  task.output_bytes = 12'345'678'901;
  const auto tasks = registry->List(InstanceKind::kTask);
  ASSERT_TRUE(tasks.ok()) << tasks.error().message;
  ASSERT_EQ(tasks->size(), 2u);
  ExpectSame(tasks->at(1), task);
  const auto command = registry->GetCommand(task.id, 7);
  ASSERT_TRUE(command.ok() && command->end);
  EXPECT_EQ(command->end->code, 9);
  EXPECT_EQ(command->end->stderr_dropped, 4u);
  EXPECT_TRUE(command->end->output_left_open);

  // Commands belong to the row where it is now, and go with it.
  EXPECT_EQ(registry->BeginCommand(task.id, TestCommand("next"))->sequence, 8);
  ASSERT_TRUE(registry->Apply(task.id, InstanceEvent::kStop).ok());
  ASSERT_TRUE(registry->Delete(task.id).ok());
  EXPECT_TRUE(registry->ListCommands(task.id)->empty());
  EXPECT_EQ(registry->ListCommands(tasks->front().id)->size(), 2u);
}

TEST(SchemaTest, VersionFiveOpensWithNamesAndNoMachine) {
  const sys::TestDirectory directory;
  MakeRegistry(directory, {kSchemaV1, kSchemaV2, kSchemaV3, kSchemaV5});
  TestClock clock;
  auto registry = Registry::Open(directory.path(), clock);
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  const auto tasks = registry->List(InstanceKind::kTask);
  ASSERT_TRUE(tasks.ok()) << tasks.error().message;
  ASSERT_EQ(tasks->size(), 3u);
  EXPECT_EQ(tasks->back().id, TestTaskId(4));
  EXPECT_EQ(tasks->back().name, "the \"old\" one");
  EXPECT_EQ(tasks->back().accelerator, "tcg");
  for (const InstanceRecord& task : *tasks) EXPECT_EQ(task.machine, "") << task.id.str();
  InstanceSpec spec = TestSpec(TestTaskId(5));
  spec.machine = "tcg";
  ASSERT_TRUE(registry->Insert(spec).ok());
  EXPECT_EQ(registry->Get(spec.id)->machine, "tcg");
}

TEST(SchemaTest, VersionSixOpensWithCommandsOfNoUser) {
  const sys::TestDirectory directory;
  MakeRegistry(directory, {kSchemaV1, kSchemaV2, kSchemaV3, kSchemaV5, kSchemaV6});
  TestClock clock;
  auto registry = Registry::Open(directory.path(), clock);
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  const auto tasks = registry->List(InstanceKind::kTask);
  ASSERT_TRUE(tasks.ok()) << tasks.error().message;
  const InstanceId task = tasks->back().id;
  EXPECT_EQ(tasks->back().machine, "tcg");
  const auto old = registry->GetCommand(task, 1);
  ASSERT_TRUE(old.ok()) << old.error().message;
  EXPECT_EQ(old->argv, std::vector<std::string>{"true"});
  EXPECT_EQ(old->user, "");
  CommandBegin begin = TestCommand("next");
  begin.user = "daemon:users";
  ASSERT_EQ(registry->BeginCommand(task, begin)->sequence, 2);
  EXPECT_EQ(registry->GetCommand(task, 2)->user, "daemon:users");
}

TEST(SchemaTest, VersionSevenOpensWithTasksOfNoLabelsAndNoDefaults) {
  const sys::TestDirectory directory;
  MakeRegistry(directory, {kSchemaV1, kSchemaV2, kSchemaV3, kSchemaV5, kSchemaV6, kSchemaV7});
  TestClock clock;
  auto registry = Registry::Open(directory.path(), clock);
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  const auto tasks = registry->List(InstanceKind::kTask);
  ASSERT_TRUE(tasks.ok()) << tasks.error().message;
  for (const InstanceRecord& task : *tasks) {
    EXPECT_TRUE(task.labels.empty() && task.cwd.empty() && task.user.empty()) << task.id.str();
    EXPECT_FALSE(task.timeout_seconds) << task.id.str();
  }
  const InstanceId id = tasks->back().id;
  EXPECT_EQ(registry->Find(InstanceKind::kTask, "web")->id, id);
  EXPECT_EQ(registry->GetCommand(id, 1)->user, "daemon");
  ASSERT_TRUE(registry
                  ->Configure(id,
                              [](InstanceSpec& spec) {
                                spec.labels = {{"team", "web \"2\""}, {"empty", ""}};
                                spec.cwd = "src";
                                spec.user = "1000:1000";
                                spec.timeout_seconds = 0;
                                return OkStatus();
                              })
                  .ok());
  const auto task = registry->Get(id);
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(task->labels,
            (std::map<std::string, std::string>{{"team", "web \"2\""}, {"empty", ""}}));
  EXPECT_EQ(task->cwd, "src");
  EXPECT_EQ(task->user, "1000:1000");
  EXPECT_EQ(task->timeout_seconds, 0);
}

TEST(SchemaTest, VersionEightOpensAndTasksMayHaveNetworkRules) {
  const sys::TestDirectory directory;
  MakeRegistry(directory,
               {kSchemaV1, kSchemaV2, kSchemaV3, kSchemaV5, kSchemaV6, kSchemaV7, kSchemaV8});
  TestClock clock;
  auto registry = Registry::Open(directory.path(), clock);
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  const auto tasks = registry->List(InstanceKind::kTask);
  ASSERT_TRUE(tasks.ok()) << tasks.error().message;
  for (const InstanceRecord& task : *tasks) EXPECT_EQ(task.network_rules, "") << task.id.str();
  EXPECT_EQ(tasks->back().labels, (std::map<std::string, std::string>{{"stage", "test"}}));
  const InstanceId id = tasks->back().id;
  const std::string rules = "allow registry.example:443\ndeny *.example\n";
  ASSERT_TRUE(registry
                  ->Configure(id,
                              [&](InstanceSpec& spec) {
                                spec.network_rules = rules;
                                return OkStatus();
                              })
                  .ok());
  EXPECT_EQ(registry->Get(id)->network_rules, rules);
}

TEST(SchemaTest, VersionNineOpensAndTasksMayHaveSecrets) {
  const sys::TestDirectory directory;
  MakeRegistry(directory, {kSchemaV1, kSchemaV2, kSchemaV3, kSchemaV5, kSchemaV6, kSchemaV7,
                           kSchemaV8, kSchemaV9});
  TestClock clock;
  auto registry = Registry::Open(directory.path(), clock);
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  const auto tasks = registry->List(InstanceKind::kTask);
  ASSERT_TRUE(tasks.ok()) << tasks.error().message;
  for (const InstanceRecord& task : *tasks) EXPECT_EQ(task.secret_refs, "") << task.id.str();
  EXPECT_EQ(tasks->back().network_rules, "allow registry.example:443\n");
  const InstanceId id = tasks->back().id;
  const std::string references = "TOKEN pyro-secret-1 api.example:443 env:TOKEN\n";
  ASSERT_TRUE(registry
                  ->Configure(id,
                              [&](InstanceSpec& spec) {
                                spec.secret_refs = references;
                                return OkStatus();
                              })
                  .ok());
  EXPECT_EQ(registry->Get(id)->secret_refs, references);
}

TEST(SchemaTest, VersionTenOpensAndTasksMayHaveTheCache) {
  const sys::TestDirectory directory;
  MakeRegistry(directory, {kSchemaV1, kSchemaV2, kSchemaV3, kSchemaV5, kSchemaV6, kSchemaV7,
                           kSchemaV8, kSchemaV9, kSchemaV10});
  TestClock clock;
  auto registry = Registry::Open(directory.path(), clock);
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  const auto tasks = registry->List(InstanceKind::kTask);
  ASSERT_TRUE(tasks.ok()) << tasks.error().message;
  for (const InstanceRecord& task : *tasks) EXPECT_FALSE(task.cache) << task.id.str();
  EXPECT_NE(tasks->back().secret_refs, "");
  const InstanceId id = tasks->back().id;
  ASSERT_TRUE(registry
                  ->Configure(id,
                              [&](InstanceSpec& spec) {
                                spec.cache = true;
                                return OkStatus();
                              })
                  .ok());
  EXPECT_TRUE(registry->Get(id)->cache);
}

TEST(SchemaTest, VersionElevenOpensWithCommandsWhoseDiskDidNotFail) {
  const sys::TestDirectory directory;
  MakeRegistry(directory, {kSchemaV1, kSchemaV2, kSchemaV3, kSchemaV5, kSchemaV6, kSchemaV7,
                           kSchemaV8, kSchemaV9, kSchemaV10, kSchemaV11});
  TestClock clock;
  auto registry = Registry::Open(directory.path(), clock);
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  const auto tasks = registry->List(InstanceKind::kTask);
  ASSERT_TRUE(tasks.ok()) << tasks.error().message;
  EXPECT_TRUE(tasks->back().cache);
  const InstanceId id = tasks->back().id;
  const auto old = registry->GetCommand(id, 1);
  ASSERT_TRUE(old.ok() && old->end);
  EXPECT_TRUE(old->end->output_left_open);
  EXPECT_FALSE(old->end->disk_failed);
  ASSERT_EQ(registry->BeginCommand(id, TestCommand("next"))->sequence, 2);
  CommandEnd end;
  end.disk_failed = true;
  ASSERT_TRUE(registry->EndCommand(id, 2, end).ok());
  EXPECT_TRUE(registry->GetCommand(id, 2)->end->disk_failed);
}

TEST(SchemaTest, LabelsThatAreNoneAreARowThatNoPyroWrites) {
  const sys::TestDirectory directory;
  TestClock clock;
  const InstanceId id = TestTaskId(1);
  ASSERT_TRUE(Registry::Open(directory.path(), clock)->Insert(TestSpec(id)).ok());
  for (const char* labels : {"no JSON", "[]", "{\"a\":1}"}) {
    auto database = db::Database::Open(directory.path() / "registry.db");
    auto update = database->Prepare("UPDATE instances SET labels = ?1");
    ASSERT_TRUE(update->BindText(1, labels).Run().ok());
    const auto broken = Registry::Open(directory.path(), clock)->Get(id);
    ASSERT_FALSE(broken.ok()) << labels;
    EXPECT_EQ(broken.error().code, ErrorCode::kDataLoss) << labels;
  }
}

TEST(SchemaTest, NewerFileIsRefusedAndLeftAlone) {
  const sys::TestDirectory directory;
  ASSERT_TRUE(Registry::Open(directory.path(), SystemClock()).ok());
  {
    auto database = db::Database::Open(directory.path() / "registry.db");
    ASSERT_TRUE(database->Execute("PRAGMA user_version = 1000").ok());
  }
  const auto registry = Registry::Open(directory.path(), SystemClock());
  ASSERT_FALSE(registry.ok());
  EXPECT_EQ(registry.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(registry.error().message.find("newer pyro"), std::string::npos);
  EXPECT_NE(Dump(directory.path() / "registry.db").find("user_version = 1000"), std::string::npos);
}

}  // namespace
}  // namespace pyro::state
