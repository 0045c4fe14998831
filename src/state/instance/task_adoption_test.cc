#include "state/instance/task_adoption.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/check.h"
#include "state/instance/instance_directory.h"
#include "state/journal/command_log.h"
#include "state/journal/journal.h"
#include "state/test_support.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

namespace fs = std::filesystem;

class TaskAdoptionTest : public testing::Test {
 protected:
  Registry MustOpen() {
    auto registry = Registry::Open(state_.path(), clock_);
    PYRO_CHECK(registry.ok());
    return std::move(*registry);
  }

  void MakeTask(Registry& registry, const InstanceSpec& spec) {
    PYRO_CHECK(registry
                   .WithExclusive([&]() -> Status {
                     const auto lock = CreateInstanceDirectory(state_.path(), spec, clock_.Now());
                     const auto task = registry.Insert(spec);
                     PYRO_CHECK(lock.ok() && task.ok());
                     return OkStatus();
                   })
                   .ok());
    PYRO_CHECK(FinishCreation(state_.path(), spec.id).ok());
  }

  // As a supervisor does it.
  void RunCommand(Registry& registry, const InstanceId& id, const std::string& output,
                  int exit_code) {
    const fs::path directory = InstanceDirectory(state_.path(), id);
    const auto command = registry.BeginCommand(id, TestCommand("\xffprint"));
    auto log = CommandLog::Open(directory);
    OutputBudget budget(0);
    auto writer = JournalWriter::Open(directory, command->sequence, budget);
    PYRO_CHECK(command.ok() && log.ok() && writer.ok() && log->Begin(*command).ok());
    writer->Append(OutputStream::kStdout, output);
    PYRO_CHECK(writer->Finish().ok());
    clock_.Advance(std::chrono::seconds(1));
    const CommandEnd end{.code = exit_code,
                         .duration_us = 17,
                         .stdout_bytes = writer->bytes(OutputStream::kStdout),
                         .ended_at = clock_.Now()};
    PYRO_CHECK(log->End(command->sequence, end).ok());
    PYRO_CHECK(registry.EndCommand(id, command->sequence, end).ok());
  }

  void LoseRegistry() {
    for (const char* name : {"registry.db", "registry.db-wal", "registry.db-shm"}) {
      fs::remove(state_.path() / name);
    }
  }

  sys::TestDirectory state_;
  TestClock clock_;
};

TEST_F(TaskAdoptionTest, BrokenRegistryComesBackFromTheDirectories) {
  InstanceSpec spec = TestSpec(TestTaskId(1));
  spec.mem_mib = 777;
  spec.machine = "kvm";
  spec.environment_digest = "sha256:beef";
  spec.name = "web";
  spec.labels = {{"team", "web"}, {"empty", ""}};
  spec.cwd = "src";
  spec.user = "daemon";
  spec.timeout_seconds = 0;
  std::optional<InstanceRecord> before;
  std::vector<CommandRecord> commands;
  {
    Registry registry = MustOpen();
    MakeTask(registry, spec);
    clock_.Advance(std::chrono::seconds(9));
    ASSERT_TRUE(registry.Apply(spec.id, InstanceEvent::kStart).ok());
    RunCommand(registry, spec.id, "hello", 0);
    RunCommand(registry, spec.id, "world!", 7);
    EXPECT_TRUE(AdoptTasks(registry, state_.path(), clock_)->task_ids.empty());
    before = *registry.Get(spec.id);
    commands = *registry.ListCommands(spec.id);
  }
  LoseRegistry();
  std::ofstream(state_.path() / "registry.db") << "no database at all, and long enough to be read";
  EXPECT_EQ(Registry::Open(state_.path(), clock_).error().code, ErrorCode::kDataLoss);
  LoseRegistry();

  Registry registry = MustOpen();
  const auto adopted = AdoptTasks(registry, state_.path(), clock_);
  ASSERT_TRUE(adopted.ok()) << adopted.error().message;
  EXPECT_EQ(adopted->task_ids, std::vector<InstanceId>{spec.id});
  EXPECT_TRUE(adopted->failures.empty());
  EXPECT_EQ(adopted->bad_lines, 0u);
  const auto task = registry.Get(spec.id);
  ASSERT_TRUE(task.ok());
  EXPECT_EQ(task->state, InstanceState::kStopped);
  EXPECT_EQ(task->environment_digest, "sha256:beef");
  EXPECT_EQ(task->mem_mib, 777);
  EXPECT_EQ(task->machine, "kvm");
  EXPECT_EQ(task->labels, spec.labels);
  EXPECT_EQ(registry.Find(InstanceKind::kTask, "web")->cwd, "src");
  EXPECT_EQ(task->user, "daemon");
  EXPECT_EQ(task->timeout_seconds, 0);
  EXPECT_EQ(task->created_at, before->created_at);
  EXPECT_EQ(task->expires_at, before->expires_at);
  EXPECT_EQ(task->next_sequence, before->next_sequence);
  EXPECT_EQ(task->command_count, before->command_count);
  EXPECT_EQ(task->output_bytes, before->output_bytes);
  const auto again = registry.ListCommands(spec.id);
  ASSERT_EQ(again->size(), commands.size());
  for (std::size_t i = 0; i < commands.size(); ++i) {
    EXPECT_EQ((*again)[i].argv, commands[i].argv);
    EXPECT_EQ((*again)[i].started_at, commands[i].started_at);
    EXPECT_EQ((*again)[i].end->ended_at, commands[i].end->ended_at);
    EXPECT_EQ((*again)[i].end->ExitCode(), commands[i].end->ExitCode());
    EXPECT_EQ((*again)[i].end->stdout_bytes, commands[i].end->stdout_bytes);
  }
  EXPECT_TRUE(AdoptTasks(registry, state_.path(), clock_)->task_ids.empty());
  ASSERT_TRUE(registry.Apply(spec.id, InstanceEvent::kStart).ok());
  EXPECT_EQ(registry.BeginCommand(spec.id, TestCommand("next"))->sequence, 3);
}

TEST_F(TaskAdoptionTest, LeavesAloneWhatIsHeldUnfinishedOrBeyondReading) {
  Registry registry = MustOpen();
  const auto held = CreateInstanceDirectory(state_.path(), TestSpec(TestTaskId(1)), clock_.Now());
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(FinishCreation(state_.path(), TestTaskId(1)).ok());
  ASSERT_TRUE(CreateInstanceDirectory(state_.path(), TestSpec(TestTaskId(2)), clock_.Now()).ok());
  for (const InstanceId& id : {TestTaskId(3), TestTaskId(4), TestTaskId(5)}) {
    ASSERT_TRUE(CreateInstanceDirectory(state_.path(), TestSpec(id), clock_.Now()).ok());
    ASSERT_TRUE(FinishCreation(state_.path(), id).ok());
  }
  std::ofstream(InstanceDirectory(state_.path(), TestTaskId(3)) / "manifest.json") << "{}";
  fs::copy_file(InstanceDirectory(state_.path(), TestTaskId(5)) / "manifest.json",
                InstanceDirectory(state_.path(), TestTaskId(4)) / "manifest.json",
                fs::copy_options::overwrite_existing);
  std::ofstream(CommandLogFile(InstanceDirectory(state_.path(), TestTaskId(5)))) << "garbage\n\n";

  const auto adopted = AdoptTasks(registry, state_.path(), clock_);
  ASSERT_TRUE(adopted.ok()) << adopted.error().message;
  EXPECT_EQ(adopted->task_ids, std::vector<InstanceId>{TestTaskId(5)});
  EXPECT_EQ(adopted->bad_lines, 2u);
  ASSERT_EQ(adopted->failures.size(), 2u);
  for (const auto& failure : adopted->failures) {
    EXPECT_EQ(failure.error.code, ErrorCode::kDataLoss);
    EXPECT_TRUE(fs::exists(InstanceDirectory(state_.path(), failure.id)));
  }
  EXPECT_EQ(registry.List(InstanceKind::kTask)->size(), 1u);
}

TEST_F(TaskAdoptionTest, DeletedTaskDoesNotComeBack) {
  // Cut off at each step of a removal.
  Registry registry = MustOpen();
  MakeTask(registry, TestSpec(TestTaskId(1)));
  EXPECT_EQ(registry
                .WithExclusive([&]() -> Status {
                  EXPECT_TRUE(RetireDirectory(state_.path(), TestTaskId(1)).ok());
                  return MakeError(ErrorCode::kInternal, "killed here");
                })
                .error()
                .code,
            ErrorCode::kInternal);
  EXPECT_EQ(*LookAtFiles(state_.path(), TestTaskId(1)), InstanceFiles::kRemoving);
  EXPECT_TRUE(registry.Get(TestTaskId(1)).ok());
  EXPECT_TRUE(registry.Delete(TestTaskId(1)).ok());
  EXPECT_TRUE(AdoptTasks(registry, state_.path(), clock_)->task_ids.empty());
  EXPECT_TRUE(RemoveInstanceDirectory(state_.path(), TestTaskId(1)).ok());
  EXPECT_TRUE(fs::is_empty(InstancesDirectory(state_.path(), InstanceKind::kTask)));
}

}  // namespace
}  // namespace pyro::state
