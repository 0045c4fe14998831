// Waiting for commands of tasks: for one, or for all that run.

#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "engine/testing/session_peer.h"

namespace pyro::engine {
namespace {

using namespace std::chrono_literals;

class TaskWaitTest : public EngineFixture {
 protected:
  // A command that ends, with this code, once its stdin does.
  std::int64_t Start(int code = 0) {
    const auto started = engine_->StartTaskCommand(id_, Shell("cat; exit " + std::to_string(code)),
                                                   0, {}, Engine::StdinEnd::kStaysOpen);
    EXPECT_TRUE(started.ok()) << started.error().message;
    return started ? started->sequence : 0;
  }

  void End(std::int64_t sequence) {
    const auto ended = engine_->WriteTaskStdin(id_, sequence, Engine::CloseStdin::kYes);
    EXPECT_TRUE(ended.ok()) << ended.error().message;
  }

  // On a thread of its own, so that what it waits for can happen.
  std::future<Result<TaskWait>> Wait(std::optional<std::int64_t> sequence = std::nullopt,
                                     std::chrono::milliseconds limit = 0ms, CallIo io = {}) {
    return std::async(std::launch::async,
                      [=, this] { return engine_->WaitTask(id_, sequence, limit, io); });
  }

  const std::string id_ = engine_->CreateTask(Task())->task_id;
};

TEST_F(TaskWaitTest, OneCommandIsWaitedForAndToldWithItsEnd) {
  const std::int64_t other = Start();
  const std::int64_t sequence = Start(7);
  auto waiting = Wait(sequence);
  End(sequence);
  const auto waited = waiting.get();
  ASSERT_TRUE(waited.ok()) << waited.error().message;
  EXPECT_EQ(waited->task_id, id_);
  EXPECT_TRUE(waited->complete);
  ASSERT_EQ(waited->commands.size(), 1u);
  EXPECT_EQ(waited->commands[0].sequence, sequence);
  EXPECT_EQ(waited->commands[0].outcome, Outcome::kExited);
  EXPECT_EQ(waited->commands[0].exit_code, 7);
  EXPECT_FALSE(engine_->GetTaskCommand(id_, other)->outcome);
  // One that has ended already is told at once.
  EXPECT_EQ(engine_->WaitTask(id_, sequence)->commands[0].exit_code, 7);
}

TEST_F(TaskWaitTest, WithoutASequenceAllAreWaitedForAndThoseThatBeginMeanwhile) {
  const auto idle = engine_->WaitTask(id_);
  ASSERT_TRUE(idle.ok()) << idle.error().message;
  EXPECT_TRUE(idle->complete);
  EXPECT_TRUE(idle->commands.empty());

  const std::int64_t first = Start(1);
  auto waiting = Wait();
  const std::int64_t second = Start(2);
  End(first);
  EXPECT_EQ(engine_->WaitTask(id_, first)->commands[0].exit_code, 1);
  // A wait that does not look again has ended by then.
  EXPECT_EQ(waiting.wait_for(100ms), std::future_status::timeout) << "the second still runs";
  End(second);
  const auto waited = waiting.get();
  ASSERT_TRUE(waited.ok()) << waited.error().message;
  EXPECT_TRUE(waited->complete);
  // The second may have begun before the wait looked for the first time, or after. A wait that got
  // no processor meanwhile has seen only the end of the first.
  ASSERT_FALSE(waited->commands.empty());
  EXPECT_EQ(waited->commands.back().exit_code, waited->commands.back().sequence == second ? 2 : 1);
}

TEST_F(TaskWaitTest, AWaitWhoseTimeIsOverTellsWhatStillRuns) {
  const std::int64_t sequence = Start();
  for (const std::optional<std::int64_t> one :
       {std::optional<std::int64_t>(), std::optional(sequence)}) {
    const auto waited = engine_->WaitTask(id_, one, 50ms);
    ASSERT_TRUE(waited.ok()) << waited.error().message;
    EXPECT_FALSE(waited->complete);
    ASSERT_EQ(waited->commands.size(), 1u);
    EXPECT_EQ(waited->commands[0].state, CommandState::kRunning);
  }
  EXPECT_EQ(engine_->WaitTask(id_, std::nullopt, -1ms).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(TaskWaitTest, ACommandWhoseSupervisorIsKilledIsInterrupted) {
  const std::int64_t sequence = Start();
  auto one = Wait(sequence);
  auto all = Wait();
  KillSupervisor(id_);
  for (auto* waiting : {&one, &all}) {
    const auto waited = waiting->get();
    ASSERT_TRUE(waited.ok()) << waited.error().message;
    EXPECT_TRUE(waited->complete);
    // That of all may have begun after the end was recorded.
    for (const TaskCommand& command : waited->commands) {
      EXPECT_EQ(command.outcome, Outcome::kInterrupted);
    }
  }
  EXPECT_EQ(engine_->WaitTask(id_, sequence)->commands[0].outcome, Outcome::kInterrupted);
}

TEST_F(TaskWaitTest, AStopAndADeletionEndAWait) {
  auto waiting = Wait(Start());
  ASSERT_TRUE(engine_->StopTask(id_).ok());
  const auto waited = waiting.get();
  ASSERT_TRUE(waited.ok()) << waited.error().message;
  EXPECT_EQ(waited->commands[0].outcome, Outcome::kInterrupted);

  const std::int64_t sequence = Start();
  auto one = Wait(sequence);
  auto all = Wait();
  // Both have looked at the task: what they wait for does not end by itself.
  while (one.wait_for(50ms) != std::future_status::timeout) ADD_FAILURE();
  while (all.wait_for(50ms) != std::future_status::timeout) ADD_FAILURE();
  ASSERT_TRUE(engine_->DeleteTask(id_).ok());
  // Its guest ends first: each has seen either the end of the command, or that the task is gone.
  for (auto* call : {&one, &all}) {
    const auto ended = call->get();
    if (ended.ok()) {
      EXPECT_TRUE(ended->complete);
      EXPECT_EQ(ended->commands.back().outcome, Outcome::kInterrupted);
      continue;
    }
    EXPECT_EQ(ended.error().code, ErrorCode::kNotFound);
    EXPECT_NE(ended.error().message.find(id_), std::string::npos) << ended.error().message;
    EXPECT_NE(ended.error().hint, "");
  }
  EXPECT_EQ(engine_->WaitTask(id_, sequence).error().code, ErrorCode::kNotFound);
}

TEST_F(TaskWaitTest, ACancelledWaitLeavesTheCommandRunning) {
  const std::int64_t sequence = Start();
  Canceller canceller;
  auto waiting = Wait(std::nullopt, 0ms, canceller.Io());
  canceller.Cancel();
  EXPECT_EQ(waiting.get().error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(engine_->GetTaskCommand(id_, sequence)->outcome);
}

TEST_F(TaskWaitTest, AnUnknownCommandIsNamedWithAHint) {
  const auto unknown = engine_->WaitTask(id_, 5);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(unknown.error().message, "task '" + id_ + "' has no command 5");
  EXPECT_NE(unknown.error().hint.find("task logs"), std::string::npos);
  EXPECT_EQ(engine_->WaitTask("task_aaaaaa").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace pyro::engine
