#include <algorithm>
#include <ctime>

#include <gtest/gtest.h>

#include "base/check.h"
#include "state/registry.h"
#include "state/test_support.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

using std::chrono::seconds;

class RegistryTasksTest : public testing::Test {
 protected:
  static Registry MustOpen(const std::filesystem::path& path, const Clock& clock) {
    auto registry = Registry::Open(path, clock);
    PYRO_CHECK(registry.ok());
    return std::move(*registry);
  }

  InstanceId MustInsert(std::uint8_t number, bool started = true) {
    const InstanceId id = TestTaskId(number);
    PYRO_CHECK(registry_.Insert(TestSpec(id)).ok());
    if (started) PYRO_CHECK(registry_.Apply(id, InstanceEvent::kStart).ok());
    return id;
  }

  Result<InstanceRecord> Adopt(const InstanceId& id, WallTime created_at,
                               const std::vector<CommandRecord>& commands) {
    InstanceRecord task(TestSpec(id));
    task.created_at = created_at;
    return registry_.Adopt(task, commands);
  }

  CommandEnd Exited(std::uint64_t stdout_bytes, std::uint64_t stdout_dropped = 0) {
    return {.outcome = Outcome::kExited,
            .duration_us = 1234,
            .stdout_bytes = stdout_bytes,
            .ended_at = clock_.Now(),
            .stdout_dropped = stdout_dropped};
  }

  sys::TestDirectory directory_;
  TestClock clock_;
  Registry registry_ = MustOpen(directory_.path(), clock_);
};

TEST_F(RegistryTasksTest, EveryFieldSurvivesReopening) {
  const InstanceSpec spec{.id = TestTaskId(1),
                          .environment = "debian:12-build",
                          .environment_digest = "sha256:0123",
                          .vcpu_count = 3,
                          .mem_mib = 513,
                          .disk_mib = 4321,
                          .ttl = seconds(77),
                          .network = true,
                          .allow_host_compat = true};
  ASSERT_TRUE(registry_.Insert(spec).ok());
  clock_.Advance(seconds(5));
  ASSERT_TRUE(registry_
                  .Apply(spec.id, InstanceEvent::kStart,
                         {.execution_mode = ExecutionMode::kHostCompat,
                          .accelerator = "tcg",
                          .network_json = "{}",
                          .last_error = "it's odd"})
                  .ok());
  ASSERT_TRUE(registry_.BeginCommand(spec.id, TestCommand("true")).ok());
  ASSERT_TRUE(registry_.EndCommand(spec.id, 1, Exited(12, 2)).ok());
  const auto task = registry_.Get(spec.id);
  EXPECT_EQ(task->environment, "debian:12-build");
  EXPECT_EQ(task->disk_mib, 4321);
  EXPECT_EQ(task->ttl, seconds(77));
  EXPECT_TRUE(task->network && task->allow_host_compat);
  EXPECT_EQ(task->state, InstanceState::kStarted);
  EXPECT_EQ(task->execution_mode, ExecutionMode::kHostCompat);
  EXPECT_EQ(task->started_at, clock_.Now());
  EXPECT_EQ(task->expires_at, clock_.Now() + seconds(77));
  EXPECT_EQ(task->next_sequence, 2);
  EXPECT_EQ(task->command_count, 1);
  EXPECT_EQ(task->output_bytes, 10u);
  Registry other = MustOpen(directory_.path(), clock_);
  ExpectSame(*other.Get(spec.id), *task);
  EXPECT_EQ(other.List(InstanceKind::kTask)->size(), 1u);
  EXPECT_TRUE(other.List(InstanceKind::kVm)->empty());
}

TEST_F(RegistryTasksTest, CommandKeepsItsBytesAndItsEnd) {
  const InstanceId id = MustInsert(1);
  const CommandSpec spec{.argv = {"printf", std::string("\xff\xfe\n", 3), "", "é"},
                         .cwd = "/workspace/\xc3",
                         .timeout_ms = 77};
  const auto begun = registry_.BeginCommand(id, spec, ExecutionMode::kGuestVsock);
  ASSERT_TRUE(begun.ok()) << begun.error().message;
  EXPECT_EQ(begun->sequence, 1);
  EXPECT_EQ(begun->started_at, clock_.Now());
  EXPECT_FALSE(registry_.GetCommand(id, 1)->end.has_value());

  clock_.Advance(seconds(3));
  const CommandEnd end{.outcome = Outcome::kSignalled,
                       .code = 9,
                       .duration_us = 2'999'000,
                       .stdout_bytes = 100,
                       .stderr_bytes = 50,
                       .ended_at = clock_.Now(),
                       .stdout_dropped = 10,
                       .stderr_dropped = 1};
  ASSERT_TRUE(registry_.EndCommand(id, 1, end).ok());
  const auto stored = registry_.GetCommand(id, 1);
  ASSERT_TRUE(stored.ok() && stored->end);
  EXPECT_EQ(stored->task_id, id);
  EXPECT_EQ(stored->argv, spec.argv);
  EXPECT_EQ(stored->cwd, spec.cwd);
  EXPECT_EQ(stored->timeout_ms, 77);
  EXPECT_EQ(stored->execution_mode, ExecutionMode::kGuestVsock);
  EXPECT_EQ(stored->started_at, begun->started_at);
  EXPECT_EQ(stored->end->outcome, Outcome::kSignalled);
  EXPECT_EQ(stored->end->code, 9);
  EXPECT_EQ(stored->end->ExitCode(), 137);
  EXPECT_EQ(stored->end->duration_us, 2'999'000);
  EXPECT_EQ(stored->end->ended_at, end.ended_at);
  EXPECT_EQ(stored->end->stdout_bytes, 100u);
  EXPECT_EQ(stored->end->stderr_bytes, 50u);
  EXPECT_EQ(stored->end->stdout_dropped, 10u);
  EXPECT_EQ(stored->end->stderr_dropped, 1u);
  EXPECT_EQ(registry_.Get(id)->output_bytes, 139u);
}

TEST_F(RegistryTasksTest, AnEndIsRecordedOnce) {
  const InstanceId id = MustInsert(1);
  ASSERT_TRUE(registry_.BeginCommand(id, TestCommand("true")).ok());
  EXPECT_EQ(registry_.EndCommand(id, 1, {.stdout_bytes = 1, .stdout_dropped = 2}).error().code,
            ErrorCode::kInvalidArgument);
  ASSERT_TRUE(registry_.EndCommand(id, 1, Exited(5)).ok());
  CommandEnd other = Exited(7);
  other.outcome = Outcome::kInterrupted;
  EXPECT_EQ(registry_.EndCommand(id, 1, other).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(registry_.GetCommand(id, 1)->end->outcome, Outcome::kExited);
  EXPECT_EQ(registry_.Get(id)->output_bytes, 5u);
  EXPECT_EQ(registry_.EndCommand(id, 2, Exited(5)).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(registry_.GetCommand(TestTaskId(2), 1).error().code, ErrorCode::kNotFound);
}

TEST_F(RegistryTasksTest, OnlyAStartedTaskTakesCommands) {
  const InstanceId id = MustInsert(1, /*started=*/false);
  EXPECT_EQ(registry_.BeginCommand(id, TestCommand("x")).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(registry_.BeginCommand(TestTaskId(2), TestCommand("x")).error().code,
            ErrorCode::kNotFound);
  ASSERT_TRUE(registry_.Apply(id, InstanceEvent::kStart).ok());
  ASSERT_TRUE(registry_.Apply(id, InstanceEvent::kStop).ok());
  const Error stopped = registry_.BeginCommand(id, TestCommand("x")).error();
  EXPECT_EQ(stopped.code, ErrorCode::kWrongState);
  EXPECT_EQ(stopped.hint, "run the command again: it starts the task");
  CommandSpec wrong = TestCommand("x");
  wrong.timeout_ms = -1;
  EXPECT_EQ(registry_.BeginCommand(id, wrong).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(registry_.Get(id)->next_sequence, 1);
  EXPECT_FALSE(registry_.LastCommand(id)->has_value());
}

TEST_F(RegistryTasksTest, AVmKeepsNoJournalAndIsNoTask) {
  const InstanceId vm = TestId(1);
  ASSERT_TRUE(registry_.Insert(TestSpec(vm)).ok());
  ASSERT_TRUE(registry_.Apply(vm, InstanceEvent::kStart).ok());
  EXPECT_EQ(registry_.BeginCommand(vm, TestCommand("x")).error().code, ErrorCode::kInvalidArgument);
  const InstanceId task = MustInsert(1);
  EXPECT_EQ(registry_.List(InstanceKind::kTask)->size(), 1u);
  EXPECT_EQ(registry_.List(InstanceKind::kTask)->front().id, task);
  EXPECT_EQ(registry_.List(InstanceKind::kVm)->front().id, vm);
  EXPECT_EQ(registry_.Find(InstanceKind::kTask, vm.str()).error().code,
            ErrorCode::kInvalidArgument);
  // The same characters after their prefixes.
  EXPECT_EQ(registry_.Find(InstanceKind::kVm, vm.str().substr(3))->id, vm);
  EXPECT_EQ(registry_.Find(InstanceKind::kTask, task.str().substr(5))->id, task);
}

TEST_F(RegistryTasksTest, CommandsRenewTheLeaseAtBothEnds) {
  const InstanceId id = MustInsert(1);
  clock_.Advance(seconds(100));
  ASSERT_TRUE(registry_.BeginCommand(id, TestCommand("x")).ok());
  EXPECT_EQ(registry_.Get(id)->expires_at, clock_.Now() + seconds(600));
  clock_.Advance(seconds(100));
  ASSERT_TRUE(registry_.EndCommand(id, 1, Exited(0)).ok());
  EXPECT_EQ(registry_.Get(id)->expires_at, clock_.Now() + seconds(600));
  // Noticing after the guest's end what it left is no use of it.
  ASSERT_TRUE(registry_.BeginCommand(id, TestCommand("x")).ok());
  ASSERT_TRUE(registry_.Apply(id, InstanceEvent::kLost).ok());
  const WallTime expires_at = registry_.Get(id)->expires_at;
  clock_.Advance(seconds(100));
  ASSERT_TRUE(registry_.EndCommand(id, 2, Exited(0)).ok());
  EXPECT_EQ(registry_.Get(id)->expires_at, expires_at);
}

TEST_F(RegistryTasksTest, InterruptsWhatRunsAndNothingElse) {
  const InstanceId id = MustInsert(1);
  const InstanceId other = MustInsert(2);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(registry_.BeginCommand(id, TestCommand("x")).ok());
  ASSERT_TRUE(registry_.BeginCommand(other, TestCommand("x")).ok());
  ASSERT_TRUE(registry_.EndCommand(id, 2, Exited(1)).ok());
  std::vector<std::int64_t> asked;
  const auto how = [&](std::int64_t sequence) {
    asked.push_back(sequence);
    return CommandEnd{.outcome = Outcome::kInterrupted,
                      .stderr_bytes = static_cast<std::uint64_t>(sequence) * 100,
                      .ended_at = clock_.Now()};
  };
  const auto count = registry_.InterruptRunning(id, how);
  ASSERT_TRUE(count.ok()) << count.error().message;
  EXPECT_EQ(*count, 3);
  EXPECT_EQ(asked, (std::vector<std::int64_t>{1, 3, 4}));
  EXPECT_EQ(registry_.GetCommand(id, 3)->end->outcome, Outcome::kInterrupted);
  EXPECT_EQ(registry_.GetCommand(id, 3)->end->stderr_bytes, 300u);
  EXPECT_EQ(registry_.GetCommand(id, 2)->end->outcome, Outcome::kExited);
  EXPECT_EQ(registry_.Get(id)->output_bytes, 801u);
  EXPECT_EQ(*registry_.InterruptRunning(id, how), 0);
  EXPECT_FALSE(registry_.GetCommand(other, 1)->end.has_value());
}

TEST_F(RegistryTasksTest, ListsCommandsFromEitherEnd) {
  const InstanceId id = MustInsert(1);
  const InstanceId other = MustInsert(2);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(registry_.BeginCommand(id, TestCommand("x")).ok());
  ASSERT_TRUE(registry_.BeginCommand(other, TestCommand("y")).ok());
  const auto sequences = [&](const CommandRange& range) {
    std::vector<std::int64_t> found;
    const auto commands = registry_.ListCommands(id, range);
    for (const CommandRecord& command : *commands) found.push_back(command.sequence);
    return found;
  };
  using Numbers = std::vector<std::int64_t>;
  EXPECT_EQ(sequences({}), (Numbers{1, 2, 3, 4, 5}));
  EXPECT_EQ(sequences({.from_sequence = 4}), (Numbers{4, 5}));
  EXPECT_EQ(sequences({.from_sequence = 2, .limit = 2}), (Numbers{2, 3}));
  EXPECT_EQ(sequences({.from_sequence = INT64_MAX, .limit = 2, .newest_first = true}),
            (Numbers{5, 4}));
  EXPECT_EQ(sequences({.from_sequence = 2, .newest_first = true}), (Numbers{2, 1}));
  EXPECT_EQ(sequences({.limit = -1}), Numbers{});
  EXPECT_EQ((*registry_.LastCommand(id))->sequence, 5);
}

TEST_F(RegistryTasksTest, DeleteTakesTheCommandsAndSparesAStartedTask) {
  const InstanceId id = MustInsert(1);
  ASSERT_TRUE(registry_.BeginCommand(id, TestCommand("x")).ok());
  EXPECT_EQ(registry_.Delete(id).error().code, ErrorCode::kWrongState);
  ASSERT_TRUE(registry_.Apply(id, InstanceEvent::kStop).ok());
  EXPECT_TRUE(registry_.Delete(id).ok());
  EXPECT_TRUE(registry_.Delete(id).ok());
  EXPECT_EQ(registry_.Get(id).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(registry_.ListCommands(id)->empty());
}

TEST_F(RegistryTasksTest, InsertRefusesTakenIdsAndNumbersOutOfRange) {
  MustInsert(1);
  EXPECT_EQ(registry_.Insert(TestSpec(TestTaskId(1))).error().code, ErrorCode::kAlreadyExists);
  InstanceSpec spec = TestSpec(TestTaskId(2));
  spec.disk_mib = 0;
  EXPECT_EQ(registry_.Insert(spec).error().code, ErrorCode::kInvalidArgument);
  spec = TestSpec(TestTaskId(2));
  spec.ttl = kMaxTtl + seconds(1);
  EXPECT_EQ(registry_.Insert(spec).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(RegistryTasksTest, FindTakesAnUnambiguousBeginning) {
  const InstanceId a = TestTaskId(1, 1);
  const InstanceId b = TestTaskId(1, 255);
  for (const InstanceId& id : {a, b}) ASSERT_TRUE(registry_.Insert(TestSpec(id)).ok());
  EXPECT_EQ(registry_.Find(InstanceKind::kTask, a.str())->id, a);
  EXPECT_EQ(registry_.Find(InstanceKind::kTask, a.str().substr(5))->id, a);
  EXPECT_EQ(registry_.Find(InstanceKind::kTask, a.str().substr(0, 12)).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(registry_.Find(InstanceKind::kTask, "task_zzzzzz").error().code, ErrorCode::kNotFound);
  for (const char* bad : {"", "task_", "task_aaaaa", "vm_aaaaaa", "task_aaa%aaa"}) {
    EXPECT_EQ(registry_.Find(InstanceKind::kTask, bad).error().code, ErrorCode::kInvalidArgument)
        << bad;
  }
}

TEST_F(RegistryTasksTest, DigestsOfVmsAndTasksAreInUse) {
  InstanceSpec task = TestSpec(TestTaskId(1));
  task.environment_digest = "sha256:task";
  ASSERT_TRUE(registry_.Insert(task).ok());
  ASSERT_TRUE(registry_.Insert(TestSpec(TestId(1))).ok());
  EXPECT_EQ(*registry_.DigestsInUse(), (std::set<std::string>{"sha256:aaaa", "sha256:task"}));
}

TEST_F(RegistryTasksTest, AdoptionIsWholeOrNothing) {
  const InstanceId id = TestTaskId(1);
  CommandRecord first(id, 1, TestCommand("a"));
  first.end = Exited(3);
  CommandRecord running(id, 2, TestCommand("b"));
  CommandRecord third(id, 7, TestCommand("c"));
  clock_.Advance(seconds(50));
  third.end = Exited(4);
  const WallTime created_at = clock_.Now() - seconds(1000);
  for (const auto& bad :
       {std::vector{first, running}, std::vector{third, first}, std::vector{first, first}}) {
    EXPECT_EQ(Adopt(id, created_at, bad).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(registry_.Get(id).error().code, ErrorCode::kNotFound);
  }
  ASSERT_TRUE(Adopt(id, created_at, {first, third}).ok());
  const auto task = registry_.Get(id);
  EXPECT_EQ(task->state, InstanceState::kStopped);
  EXPECT_EQ(task->created_at, created_at);
  EXPECT_EQ(task->last_used_at, clock_.Now());
  EXPECT_EQ(task->next_sequence, 8);
  EXPECT_EQ(task->command_count, 2);
  EXPECT_EQ(task->output_bytes, 7u);
  EXPECT_EQ(task->execution_mode, ExecutionMode::kGuestVirtioSerial);
  EXPECT_EQ(Adopt(id, created_at, {}).error().code, ErrorCode::kAlreadyExists);
}

// Of this thread, which waits for no disk and no other process.
std::chrono::nanoseconds CpuTime() {
  struct timespec now {};
  PYRO_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

TEST_F(RegistryTasksTest, TenThousandCommandsMakeTheNextOneNoDearer) {
  const auto with_commands = [&](std::uint8_t number, std::int64_t count) {
    const InstanceId id = TestTaskId(number);
    std::vector<CommandRecord> commands(static_cast<std::size_t>(count),
                                        CommandRecord(id, 0, TestCommand("x")));
    for (std::int64_t i = 0; i < count; ++i) {
      commands[static_cast<std::size_t>(i)].sequence = i + 1;
      commands[static_cast<std::size_t>(i)].end = Exited(1);
    }
    PYRO_CHECK(Adopt(id, clock_.Now(), commands).ok());
    PYRO_CHECK(registry_.Apply(id, InstanceEvent::kStart).ok());
    return id;
  };
  const auto cost = [&](const InstanceId& id) {
    const auto begin = CpuTime();
    const auto command = registry_.BeginCommand(id, TestCommand("x"));
    PYRO_CHECK(command.ok() && registry_.EndCommand(id, command->sequence, Exited(1)).ok());
    PYRO_CHECK(registry_.Get(id).ok() && registry_.LastCommand(id).ok());
    PYRO_CHECK(*registry_.InterruptRunning(id, [](std::int64_t) { return CommandEnd{}; }) == 0);
    return CpuTime() - begin;
  };
  const InstanceId few = with_commands(1, 10);
  const InstanceId many = with_commands(2, 10'000);
  // The least of several: what is added to it by the machine only makes it larger.
  auto least_few = std::chrono::nanoseconds::max();
  auto least_many = least_few;
  for (int i = 0; i < 40; ++i) {
    least_few = std::min(least_few, cost(few));
    least_many = std::min(least_many, cost(many));
  }
  EXPECT_LT(least_many, least_few * 3 / 2);
}

TEST_F(RegistryTasksTest, AnExactNameThatOneTaskAloneHasFindsIt) {
  InstanceSpec spec = TestSpec(TestTaskId(1));
  spec.name = "web";
  ASSERT_TRUE(registry_.Insert(spec).ok());
  EXPECT_EQ(registry_.Find(InstanceKind::kTask, "web")->id, spec.id);
  for (const char* other : {"we", "webb", "Web", "web "}) {
    EXPECT_EQ(registry_.Find(InstanceKind::kTask, other).error().code, ErrorCode::kNotFound)
        << other;
  }
  EXPECT_EQ(registry_.Find(InstanceKind::kVm, "web").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(registry_.Find(InstanceKind::kTask, std::string(65, 'x')).error().code,
            ErrorCode::kInvalidArgument);

  InstanceSpec second = TestSpec(TestTaskId(2));
  second.name = "web";
  ASSERT_TRUE(registry_.Insert(second).ok());
  const auto several = registry_.Find(InstanceKind::kTask, "web");
  ASSERT_FALSE(several.ok());
  EXPECT_EQ(several.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(several.error().message,
            "'web' is the name of 2 tasks: " + spec.id.str() + ", " + second.id.str());
}

TEST_F(RegistryTasksTest, AnIdGoesBeforeANameAndTheBeginningOfOneIsNotTakenForEither) {
  const InstanceId a = TestTaskId(1);
  ASSERT_TRUE(registry_.Insert(TestSpec(a)).ok());
  const std::string beginning = a.str().substr(5, 8);
  InstanceSpec named = TestSpec(TestTaskId(2));
  named.name = beginning;
  ASSERT_TRUE(registry_.Insert(named).ok());
  const auto both = registry_.Find(InstanceKind::kTask, beginning);
  ASSERT_FALSE(both.ok());
  EXPECT_EQ(both.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(both.error().message, "'" + beginning + "' is the name of " + named.id.str() +
                                      ", and the id " + a.str() + " begins so");
  // As a pyro before names were looked at may have stored it.
  for (const std::string& name : {a.str(), a.str().substr(5)}) {
    const auto renamed = registry_.Configure(named.id, [&](InstanceSpec& spec) {
      spec.name = name;
      return OkStatus();
    });
    ASSERT_TRUE(renamed.ok()) << renamed.error().message;
    EXPECT_EQ(registry_.Find(InstanceKind::kTask, name)->id, a);
    ASSERT_TRUE(registry_.Delete(a).ok());
    EXPECT_EQ(registry_.Find(InstanceKind::kTask, name).error().code, ErrorCode::kNotFound);
    ASSERT_TRUE(registry_.Insert(TestSpec(a)).ok());
  }
  // Its own name and the beginning of its own id are one task.
  const auto own = registry_.Configure(a, [&](InstanceSpec& spec) {
    spec.name = beginning;
    return OkStatus();
  });
  EXPECT_EQ(registry_.Find(InstanceKind::kTask, beginning)->id, a);
}

TEST_F(RegistryTasksTest, NoNameLooksLikeAnId) {
  const std::string id = TestTaskId(1).str();
  for (const std::string& name : {id, id.substr(5), id.substr(0, 11), std::string("task_x"),
                                  std::string("vm_"), "vm_" + id.substr(5)}) {
    EXPECT_TRUE(LooksLikeId(name)) << name;
  }
  for (const std::string& name : {std::string(), std::string("web"), std::string("deploy"),
                                  id.substr(5, 25), id.substr(5) + "a", std::string("my task_1")}) {
    EXPECT_FALSE(LooksLikeId(name)) << name;
  }
}

TEST_F(RegistryTasksTest, AnotherLeaseBeginsAtOnce) {
  const InstanceId id = MustInsert(1);
  clock_.Advance(seconds(50));
  const auto set = [&](seconds ttl) {
    return registry_.Configure(id, [&](InstanceSpec& spec) {
      spec.ttl = ttl;
      return OkStatus();
    });
  };
  EXPECT_EQ(set(seconds(600))->expires_at, clock_.Now() + seconds(550));
  EXPECT_EQ(set(seconds(60))->expires_at, clock_.Now() + seconds(60));
  EXPECT_EQ(set(seconds(0)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(registry_.Get(id)->ttl, seconds(60));
}

TEST_F(RegistryTasksTest, QueriesFindCommandsByKey) {
  auto database = db::Database::Open(directory_.path() / "registry.db");
  constexpr db::Sql kQueries[] = {
      "EXPLAIN QUERY PLAN SELECT * FROM commands WHERE task_id = ?1 AND sequence = ?2",
      "EXPLAIN QUERY PLAN SELECT * FROM commands WHERE task_id = ?1 AND sequence <= ?2 "
      "ORDER BY sequence DESC LIMIT ?3",
      "EXPLAIN QUERY PLAN SELECT sequence FROM commands INDEXED BY commands_running WHERE task_id "
      "= ?1 AND "
      "state = 'running' ORDER BY sequence",
      "EXPLAIN QUERY PLAN SELECT * FROM instances WHERE id = ?1"};
  for (const db::Sql& query : kQueries) {
    auto plan = database->Prepare(query);
    int lines = 0;
    while (*plan->Step()) {
      ++lines;
      EXPECT_EQ(plan->Text(3).rfind("SEARCH", 0), 0u) << query.text() << ": " << plan->Text(3);
    }
    EXPECT_EQ(lines, 1) << query.text();
  }
  auto running = database->Prepare(kQueries[2]);
  ASSERT_TRUE(*running->Step());
  EXPECT_NE(running->Text(3).find("commands_running"), std::string::npos) << running->Text(3);
}

}  // namespace
}  // namespace pyro::state
