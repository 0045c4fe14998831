// The processes of a task's guest. Those of these guests see all processes of this host.

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "engine/testing/session_peer.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

using namespace std::chrono_literals;

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

// A descriptor that has these bytes.
sys::UniqueFd Given(std::string_view bytes) {
  sys::Pipe pipe = *sys::MakePipe();
  EXPECT_TRUE(sys::WriteAll(pipe.write.get(), bytes).ok());
  return std::move(pipe.read);
}

TEST_F(TaskProcessesTest, AStdinThatWasKeptOpenIsWrittenToAndClosedByLaterCalls) {
  const std::string id = engine_->CreateTask(Task())->task_id;
  const auto started = engine_->StartTaskCommand(id, Shell("while read x; do echo got $x; done"), 0,
                                                 {}, Engine::StdinEnd::kStaysOpen);
  ASSERT_TRUE(started.ok()) << started.error().message;
  const auto write = [&](std::string_view bytes, Engine::CloseStdin close) {
    const sys::UniqueFd given = Given(bytes);
    CallIo io;
    io.stdin_fd = given.get();
    return engine_->WriteTaskStdin(id, 1, close, 0, io);
  };
  auto written = write("one\n", Engine::CloseStdin::kNo);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(written->bytes, 4u);
  EXPECT_TRUE(written->complete);
  EXPECT_FALSE(written->closed);
  const auto page = engine_->ReadTaskOutput(id, 1, OutputStream::kStdout, 0, 100, 60s);
  EXPECT_EQ(page->text, "got one\n");
  written = write("two\n", Engine::CloseStdin::kYes);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_TRUE(written->closed);
  EXPECT_EQ(engine_->GetTaskCommand(id, 1, 60s)->outcome, Outcome::kExited);
  EXPECT_EQ(write("late", Engine::CloseStdin::kNo).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(engine_->WriteTaskStdin(id, 2, Engine::CloseStdin::kNo).error().code,
            ErrorCode::kNotFound);

  // The rest of an output that another call has read the beginning of.
  TestSink sink;
  CallIo io;
  io.sink = &sink;
  ASSERT_TRUE(engine_->ReadTaskCommand(id, 1, Engine::Follow::kYes, io, {.stdout_offset = 8}).ok());
  EXPECT_EQ(sink.out, "got two\n");
}

TEST_F(TaskProcessesTest, AWriteToACommandThatDoesNotReadSaysHowMuchItTook) {
  const std::string id = engine_->CreateTask(Task())->task_id;
  ASSERT_TRUE(
      engine_->StartTaskCommand(id, Shell("exec sleep 1000"), 0, {}, Engine::StdinEnd::kStaysOpen)
          .ok());
  const auto file = directory_.path() / "much";
  std::ofstream(file) << std::string(2'000'000, 'x');
  const auto much = sys::OpenFile(file, O_RDONLY);
  CallIo io;
  io.stdin_fd = much->get();
  const auto written = engine_->WriteTaskStdin(id, 1, Engine::CloseStdin::kYes, 1, io);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_FALSE(written->complete);
  EXPECT_FALSE(written->closed);
  EXPECT_GT(written->bytes, 0u);
  EXPECT_LT(written->bytes, 2'000'000u);
  const auto signalled = engine_->SignalTaskCommand(id, 1, "sigterm");
  ASSERT_TRUE(signalled.ok()) << signalled.error().message;
  EXPECT_EQ(signalled->signal, "SIGTERM");
  EXPECT_EQ(signalled->signalled, 1);
  EXPECT_EQ(signalled->left, 0);
  EXPECT_EQ(signalled->processes.at(0).command, "sleep 1000");
  const auto ended = engine_->GetTaskCommand(id, 1, 60s);
  EXPECT_EQ(ended->outcome, Outcome::kSignalled);
  EXPECT_EQ(ended->exit_code, 128 + SIGTERM);
  EXPECT_EQ(engine_->SignalTaskCommand(id, 1, "TERM").error().code, ErrorCode::kWrongState);
  EXPECT_EQ(engine_->SignalTaskCommand(id, 1, "NO").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(engine_->SignalTaskCommand(id, 1, "65").error().code, ErrorCode::kInvalidArgument);
}

TEST_F(TaskProcessesTest, WhatAKillEndedIsToldAndStaysInTheRecord) {
  const std::string id = engine_->CreateTask(Task())->task_id;
  ASSERT_TRUE(engine_->StartTaskCommand(id, Shell("exec sleep 1000"), 0).ok());
  const auto cancelled = engine_->CancelTaskCommand(id, 1);
  ASSERT_TRUE(cancelled.ok()) << cancelled.error().message;
  ASSERT_TRUE(cancelled->killed);
  EXPECT_EQ(cancelled->killed->count, 1);
  EXPECT_TRUE(cancelled->killed->gone);
  EXPECT_EQ(engine_->GetTaskCommand(id, 1)->killed->processes.at(0).pid,
            cancelled->killed->processes.at(0).pid);
  const auto timed_out = engine_->ExecTask(id, Shell("exec sleep 1000"), 1);
  ASSERT_TRUE(timed_out.ok()) << timed_out.error().message;
  EXPECT_EQ(timed_out->outcome, Outcome::kTimedOut);
  ASSERT_TRUE(timed_out->killed);
  EXPECT_EQ(timed_out->killed->count, 1);
  EXPECT_FALSE(engine_->ExecTask(id, Shell("true"), 30)->killed);
}

TEST_F(TaskProcessesTest, ANewStartTellsWhatTheStopHasEnded) {
  const std::string id = engine_->CreateTask(Task())->task_id;
  ASSERT_TRUE(engine_->StartTaskCommand(id, Shell("exec sleep 1000"), 0).ok());
  ASSERT_TRUE(engine_->StopTask(id).ok());
  std::string notice;
  CallIo io;
  io.on_notice = [&](std::string_view text) { notice += text; };
  auto again = engine_->ExecTask(id, Shell("true"), 30, io);
  ASSERT_TRUE(again.ok()) << again.error().message;
  ASSERT_TRUE(again->restart);
  ASSERT_EQ(again->restart->interrupted.size(), 1u);
  EXPECT_EQ(again->restart->interrupted[0].sequence, 1);
  EXPECT_NE(notice.find("with command 1 ("), std::string::npos) << notice;
  EXPECT_FALSE(engine_->ExecTask(id, Shell("true"), 30)->restart);
  ASSERT_TRUE(engine_->StopTask(id).ok());
  again = engine_->ExecTask(id, Shell("true"), 30);
  EXPECT_TRUE(again->restart->interrupted.empty()) << "an earlier stop had ended it";
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
