// Variables, directory and user of a task's commands.

#include <chrono>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

class TaskPlaceTest : public EngineFixture {};

TEST_F(TaskPlaceTest, TheJournalHasDirectoryAndUserOfACommandAndNoVariable) {
  const auto task = engine_->CreateTask(Task());
  ASSERT_TRUE(task.ok()) << task.error().message;
  const std::string id = task->task_id;
  Command command = Shell("echo ${#PYRO_SECRET}; pwd");
  command.env = {{"PYRO_SECRET", "sesame-opens"}};
  command.cwd = "/usr";
  command.user = "root";
  const auto ran = engine_->ExecTask(id, command, 0);
  ASSERT_TRUE(ran.ok()) << ran.error().message;
  EXPECT_EQ(ran->stdout_text, "12\n/usr\n");
  EXPECT_EQ(ran->cwd, "/usr");
  command.user = "no-such-user";
  const auto started = engine_->StartTaskCommand(id, command, 0);
  ASSERT_TRUE(started.ok()) << started.error().message;
  const auto entry = engine_->GetTaskCommand(id, started->sequence, std::chrono::seconds(60));
  ASSERT_TRUE(entry.ok()) << entry.error().message;
  EXPECT_EQ(entry->outcome, Outcome::kNotStarted);
  EXPECT_EQ(entry->user, "no-such-user");
  EXPECT_EQ(entry->explanation.message, "the guest has no user 'no-such-user'");
  EXPECT_EQ(engine_->GetTaskCommand(id, 1)->user, "root");
  for (const auto& file : fs::recursive_directory_iterator(state_)) {
    if (!file.is_regular_file()) continue;
    const auto text = sys::ReadFile(file.path(), 1 << 30);
    EXPECT_TRUE(text.ok() && text->find("sesame") == std::string::npos) << file.path();
  }
}

}  // namespace
}  // namespace pyro::engine
