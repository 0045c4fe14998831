// The processes of a task's guest. Those of these guests see all processes of this host.

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"

namespace pyro::engine {
namespace {

class TaskProcessesTest : public EngineFixture {
 protected:
  // The process of this command line, once it runs.
  std::optional<TaskProcess> Await(const std::string& id, const std::string& command) {
    const Deadline deadline = Deadline::After(std::chrono::seconds(60));
    while (!deadline.Expired()) {
      const auto told = engine_->ListTaskProcesses(id);
      if (!told) {
        ADD_FAILURE() << told.error().message;
        return std::nullopt;
      }
      EXPECT_EQ(told->task_id, id);
      const auto found = std::find_if(told->processes.begin(), told->processes.end(),
                                      [&](const auto& one) { return one.command == command; });
      if (found != told->processes.end()) return *found;
      ::poll(nullptr, 0, 10);
    }
    return std::nullopt;
  }
};

TEST_F(TaskProcessesTest, AProcessOfTheGuestIsTold) {
  const auto task = engine_->CreateTask(Task());
  ASSERT_TRUE(task.ok()) << task.error().message;
  Command command;
  command.argv = {"sh", "-c", "sleep 77; : a\xff\x1b"};
  ASSERT_TRUE(engine_->StartTaskCommand(task->task_id, command, 0).ok());
  const auto shell = Await(task->task_id, "sh -c 'sleep 77; : a\\xff\\x1b'");
  ASSERT_TRUE(shell);
  EXPECT_GT(shell->pid, 0);
  EXPECT_GT(shell->parent, 0);
  EXPECT_GE(shell->age_seconds, 0);
  EXPECT_EQ(shell->sequence, 0);  // This guest has no cgroups.
  const auto child = Await(task->task_id, "sleep 77");
  ASSERT_TRUE(child);
  EXPECT_EQ(child->parent, shell->pid);
}

TEST_F(TaskProcessesTest, AGuestThatDoesNotRunIsNotStartedToBeAsked) {
  const auto task = engine_->CreateTask(Task());
  ASSERT_TRUE(task.ok()) << task.error().message;
  ASSERT_TRUE(engine_->StopTask(task->task_id).ok());
  const auto told = engine_->ListTaskProcesses(task->task_id);
  ASSERT_FALSE(told.ok());
  EXPECT_EQ(told.error().code, ErrorCode::kWrongState);
  EXPECT_NE(told.error().hint.find("pyro task exec"), std::string::npos);
  EXPECT_EQ(engine_->StatusTask(task->task_id)->state, GuestState::kStopped);
  EXPECT_EQ(SupervisorOf(task->task_id), 0);
  EXPECT_EQ(engine_->ListTaskProcesses("task_aaaaaa").error().code, ErrorCode::kNotFound);
}

TEST_F(TaskProcessesTest, ATaskThatIsStillBeingMadeIsNotAsked) {
  const auto task = engine_->CreateTask(Task());
  ASSERT_TRUE(task.ok()) << task.error().message;
  // By the answer its supervisor has seen the maker go: then no mark makes it remove the task.
  ASSERT_TRUE(engine_->ListTaskProcesses(task->task_id).ok());
  std::ofstream(DirectoryOf(task->task_id) / "creating") << "";
  EXPECT_EQ(engine_->ListTaskProcesses(task->task_id).error().code, ErrorCode::kWrongState);
  std::filesystem::remove(DirectoryOf(task->task_id) / "creating");
}

}  // namespace
}  // namespace pyro::engine
