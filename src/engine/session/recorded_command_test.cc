// A command of the journal that is waited for, over time that the test tells.

#include "engine/session/recorded_command.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "base/try.h"
#include "engine/testing/engine_fixture.h"

namespace pyro::engine {
namespace {

using namespace std::chrono_literals;

class RecordedCommandTest : public EngineFixture {
 protected:
  // A command of a new task that runs on; the answer is waited for for an hour.
  Result<RecordedCommand> OpenRunning() {
    PYRO_ASSIGN_OR_RETURN(const TaskInfo task, engine_->CreateTask(Task()));
    task_id_ = task.task_id;
    PYRO_RETURN_IF_ERROR(engine_->StartTaskCommand(task_id_, Shell("exec sleep 1000"), 0));
    return RecordedCommand::Open(context_, task_id_, 1, Deadline::After(1h));
  }

  std::string task_id_;
  const RunningCommand::Polls nothing_ = {{{-1, 0, 0}, {-1, 0, 0}}};
  const Context context_ = FakeContext(Directories(), world_);
};

TEST_F(RecordedCommandTest, TheAnswerAtTheEndOfAWaitIsOfThatTime) {
  auto recorded = OpenRunning();
  ASSERT_TRUE(recorded.ok()) << recorded.error().message;
  const SteadyTime now = std::chrono::steady_clock::now();
  ASSERT_TRUE(engine_->CancelTaskCommand(task_id_, 1).ok());
  // Neither a change nor the time for a further look has come to it since.
  ASSERT_TRUE(recorded->Advance(nothing_, SteadyTime{}).ok());
  EXPECT_FALSE(recorded->ended());
  EXPECT_FALSE(recorded->over());
  ASSERT_TRUE(recorded->Advance(nothing_, now + 1h).ok());
  EXPECT_TRUE(recorded->over());
  EXPECT_TRUE(recorded->ended());
  EXPECT_EQ(recorded->command().end->outcome, Outcome::kCancelled);
}

TEST_F(RecordedCommandTest, AWaitEndsInItsTimeIfTheCommandRunsOn) {
  auto recorded = OpenRunning();
  ASSERT_TRUE(recorded.ok()) << recorded.error().message;
  const SteadyTime now = std::chrono::steady_clock::now();
  ASSERT_TRUE(recorded->Advance(nothing_, now + 59min).ok());
  EXPECT_FALSE(recorded->over());
  ASSERT_TRUE(recorded->Advance(nothing_, now + 1h).ok());
  EXPECT_TRUE(recorded->over());
  EXPECT_FALSE(recorded->ended());
  EXPECT_EQ(recorded->next_look().PollTimeout(), -1);
}

}  // namespace
}  // namespace pyro::engine
