// Commands that a task's journal counts, and of which it keeps neither words nor output.

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "engine/testing/trigger.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

class UnkeptCommandsTest : public EngineFixture {
 protected:
  UnkeptCommandsTest() {
    const auto task = engine_->CreateTask(Task());
    EXPECT_TRUE(task.ok()) << task.error().message;
    if (task) id_ = task->task_id;
  }

  Result<TaskExecResult> Unkept(const Command& command, const CallIo& io = {}) {
    return engine_->ExecTask(id_, command, 300, io, Engine::Keep::kCount);
  }

  TaskLogEntry Last() {
    const auto logs = engine_->LogsTask(id_, 1, -1);
    EXPECT_TRUE(logs.ok() && logs->entries.size() == 1);
    return logs && !logs->entries.empty() ? logs->entries.back() : TaskLogEntry{};
  }

  bool OnDisk(std::string_view text) {
    for (const auto& entry : fs::recursive_directory_iterator(state_)) {
      if (!entry.is_regular_file() || entry.path().filename() == "data.img") continue;
      const auto read = sys::ReadFile(entry.path(), 1 << 26);
      if (read && read->find(text) != std::string::npos) return true;
    }
    return false;
  }

  std::string id_;
};

TEST_F(UnkeptCommandsTest, TheyCountAndNeitherWordsNorOutputAreOnDisk) {
  const auto told = Unkept(Shell("echo s3c; echo r3t-output >&2; echo kept > file; exit 7"));
  ASSERT_TRUE(told.ok()) << told.error().message;
  EXPECT_EQ(told->stdout_text, "s3c\n");
  EXPECT_EQ(told->stderr_text, "r3t-output\n");
  EXPECT_EQ(told->exit_code, 7);
  EXPECT_EQ(told->sequence, 1);
  EXPECT_FALSE(OnDisk("r3t-output"));
  EXPECT_FALSE(fs::exists(DirectoryOf(id_) / "commands" / "1"));

  const TaskLogEntry entry = Last();
  EXPECT_TRUE(entry.command.empty() && entry.cwd.empty() && entry.user.empty());
  EXPECT_EQ(entry.outcome, Outcome::kExited);
  EXPECT_EQ(entry.exit_code, 7);
  EXPECT_TRUE(entry.stdout_text.empty() && entry.stderr_text.empty());
  EXPECT_EQ(entry.stdout_bytes, 0u);
  std::string text;
  Trigger sink({}, &text);
  CallIo io;
  io.sink = &sink;
  EXPECT_TRUE(engine_->ReadTaskCommand(id_, 1, Engine::Follow::kNo, io).ok());
  EXPECT_EQ(text, "");

  const auto next = engine_->ExecTask(id_, Shell("cat file"), 30);
  EXPECT_EQ(next->sequence, 2);
  EXPECT_EQ(next->stdout_text, "kept\n");
  EXPECT_EQ(engine_->StatusTask(id_)->command_count, 2);
}

TEST_F(UnkeptCommandsTest, TheyOutliveTheRegistryAsEntriesWithoutWords) {
  ASSERT_TRUE(Unkept(Shell("exit 3")).ok());
  ASSERT_TRUE(engine_->StopTask(id_).ok());
  for (const char* file : {"registry.db", "registry.db-wal", "registry.db-shm"}) {
    fs::remove(state_ / file);
  }
  const TaskLogEntry entry = Last();
  EXPECT_TRUE(entry.command.empty());
  EXPECT_EQ(entry.exit_code, 3);
  EXPECT_EQ(engine_->ExecTask(id_, Shell("true"), 30)->sequence, 2);
}

TEST_F(UnkeptCommandsTest, OneThatCannotStartSaysWhyToItsCallerAlone) {
  const auto told = Unkept(Command{.argv = {"no-such-program"}, .script = {}});
  ASSERT_TRUE(told.ok()) << told.error().message;
  EXPECT_NE(told->explanation.message.find("no-such-program"), std::string::npos);
  EXPECT_EQ(Last().explanation.message.find("no-such-program"), std::string::npos);
  EXPECT_EQ(Last().outcome, Outcome::kNotStarted);
}

TEST_F(UnkeptCommandsTest, OneWhoseSupervisorIsKilledIsInterruptedAndStillHasNoWords) {
  Trigger sink([&]() -> Status {
    KillSupervisor(id_);
    return OkStatus();
  });
  CallIo io;
  io.sink = &sink;
  const auto told = Unkept(Shell("echo r3t; sleep 600"), io);
  ASSERT_FALSE(told.ok());
  EXPECT_EQ(told.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_EQ(Last().outcome, Outcome::kInterrupted);
  EXPECT_TRUE(Last().command.empty());
  EXPECT_FALSE(OnDisk("r3t; sleep"));
}

}  // namespace
}  // namespace pyro::engine
