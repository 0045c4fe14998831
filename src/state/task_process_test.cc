#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "base/check.h"
#include "db/test_support.h"
#include "state/instance/instance_directory.h"
#include "state/journal/command_log.h"
#include "state/journal/journal.h"
#include "state/registry.h"
#include "state/test_support.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

using db::Fork;
using db::Reap;

void MakeStartedTask(const std::filesystem::path& state, const InstanceId& id) {
  const TestClock clock;
  auto registry = Registry::Open(state, clock);
  PYRO_CHECK(registry.ok());
  PYRO_CHECK(registry
                 ->WithExclusive([&]() -> Status {
                   const auto lock = CreateInstanceDirectory(state, TestSpec(id), clock.Now());
                   const auto task = registry->Insert(TestSpec(id));
                   PYRO_CHECK(lock.ok() && task.ok());
                   return OkStatus();
                 })
                 .ok());
  PYRO_CHECK(FinishCreation(state, id).ok());
  PYRO_CHECK(registry->Apply(id, InstanceEvent::kStart).ok());
}

TEST(TaskProcessTest, EightProcessesRecordTwoHundredCommandsWithoutGapOrDouble) {
  const sys::TestDirectory state;
  const TestClock clock;
  const InstanceId id = TestTaskId(1);
  MakeStartedTask(state.path(), id);
  std::vector<pid_t> children;
  for (int process = 0; process < 8; ++process) {
    children.push_back(Fork([&] {
      auto registry = Registry::Open(state.path(), clock);
      if (!registry) return 1;
      for (int i = 0; i < 25; ++i) {
        const std::string word = std::to_string(process) + "." + std::to_string(i);
        const auto command = registry->BeginCommand(id, TestCommand(word));
        if (!command) return 2;
        const CommandEnd end{.code = process, .stdout_bytes = word.size()};
        if (!registry->EndCommand(id, command->sequence, end)) return 3;
      }
      return 0;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(Reap(child), 0);
  auto registry = Registry::Open(state.path(), clock);
  const auto commands = registry->ListCommands(id);
  ASSERT_EQ(commands->size(), 200u);
  std::set<std::string> words;
  std::uint64_t output = 0;
  for (std::size_t i = 0; i < commands->size(); ++i) {
    const CommandRecord& command = (*commands)[i];
    EXPECT_EQ(command.sequence, static_cast<std::int64_t>(i) + 1);
    ASSERT_TRUE(command.end.has_value());
    EXPECT_EQ(command.argv[0][0] - '0', command.end->ExitCode());
    words.insert(command.argv[0]);
    output += command.end->stdout_bytes;
  }
  EXPECT_EQ(words.size(), 200u);
  EXPECT_EQ(registry->Get(id)->command_count, 200);
  EXPECT_EQ(registry->Get(id)->next_sequence, 201);
  EXPECT_EQ(registry->Get(id)->output_bytes, output);
}

// One command as a supervisor does it, reported to `progress` once it has ended.
bool RunOne(Registry& registry, const std::filesystem::path& task, const InstanceId& id,
            CommandLog& log, int progress) {
  const auto command = registry.BeginCommand(id, TestCommand("count"));
  if (!command) return false;
  OutputBudget budget(0);
  auto writer = JournalWriter::Open(task, command->sequence, budget);
  if (!writer || !log.Begin(*command)) return false;
  const std::string text = "output of " + std::to_string(command->sequence);
  writer->Append(OutputStream::kStdout, text.substr(0, 3));
  writer->Append(OutputStream::kStdout, text.substr(3));
  const CommandEnd end{.code = 3, .stdout_bytes = text.size()};
  if (!writer->Finish() || !log.End(command->sequence, end)) return false;
  if (!registry.EndCommand(id, command->sequence, end)) return false;
  const auto sequence = static_cast<std::uint32_t>(command->sequence);
  return write(progress, &sequence, sizeof sequence) == sizeof sequence;
}

void RunUntilKilled(const std::filesystem::path& state, const InstanceId& id, int progress) {
  const TestClock clock;
  const auto task = InstanceDirectory(state, id);
  auto registry = Registry::Open(state, clock);
  auto log = CommandLog::Open(task);
  while (registry && log && RunOne(*registry, task, id, *log, progress)) {
  }
}

// What must hold of the task after a kill and its reconciliation.
void ExpectWhole(Registry& registry, const std::filesystem::path& state, const InstanceId& id,
                 std::uint32_t reported) {
  const auto task = InstanceDirectory(state, id);
  const auto commands = registry.ListCommands(id);
  ASSERT_TRUE(commands.ok());
  ASSERT_GE(commands->size(), reported);
  for (std::size_t i = 0; i < commands->size(); ++i) {
    const CommandRecord& command = (*commands)[i];
    EXPECT_EQ(command.sequence, static_cast<std::int64_t>(i) + 1);
    ASSERT_TRUE(command.end.has_value());
    if (command.end->outcome == Outcome::kInterrupted) continue;
    EXPECT_EQ(*ReadOutput(task, command.sequence, OutputStream::kStdout, 0, 100),
              "output of " + std::to_string(command.sequence));
    EXPECT_EQ(command.end->ExitCode(), 3);
  }
  EXPECT_EQ(registry.Get(id)->command_count, static_cast<std::int64_t>(commands->size()));
}

TEST(TaskProcessTest, KillsAtAnyMomentLoseNoFinishedCommand) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const sys::TestDirectory state;
  const TestClock clock;
  const InstanceId id = TestTaskId(1);
  MakeStartedTask(state.path(), id);
  std::set<std::uint32_t> reported;
  for (int round = 0; round < 20; ++round) {
    auto progress = sys::MakePipe();
    ASSERT_TRUE(progress.ok());
    const pid_t child = Fork([&] {
      RunUntilKilled(state.path(), id, progress->write.get());
      return 1;
    });
    progress->write.Reset();
    std::uint32_t sequence = 0;
    for (auto wanted = 1 + random() % 4; wanted > 0; --wanted) {
      ASSERT_EQ(read(progress->read.get(), &sequence, sizeof sequence),
                static_cast<ssize_t>(sizeof sequence));
      reported.insert(sequence);
    }
    for (auto spin = random() % 2'000'000; spin > 0; --spin) {
      asm volatile("");
    }
    kill(child, SIGKILL);
    EXPECT_EQ(Reap(child), -SIGKILL);
    while (read(progress->read.get(), &sequence, sizeof sequence) > 0) reported.insert(sequence);

    auto registry = Registry::Open(state.path(), clock);
    ASSERT_TRUE(registry.ok()) << registry.error().message;
    const auto interrupted = registry->InterruptRunning(id, [&](std::int64_t running) {
      return RecoverEnd(InstanceDirectory(state.path(), id), running, clock.Now());
    });
    ASSERT_TRUE(interrupted.ok());
    EXPECT_LE(*interrupted, 1);
    ExpectWhole(*registry, state.path(), id, *reported.rbegin());
  }
  auto registry = Registry::Open(state.path(), clock);
  for (const std::uint32_t sequence : reported) {
    EXPECT_EQ(registry->GetCommand(id, sequence)->end->outcome, Outcome::kExited);
  }
}

}  // namespace
}  // namespace pyro::state
