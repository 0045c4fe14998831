#include "agent/answers.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <semaphore>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "base/check.h"
#include "sys/files.h"

namespace pyro::agent {
namespace {

wire::Frame Text(std::uint32_t channel, const std::string& text) {
  return wire::Frame{
      .type = wire::FrameType::kAnswer, .channel = channel, .payload = ToCbor({{"text", text}})};
}

class AnswersTest : public ::testing::Test {
 protected:
  AnswersTest()
      : answers_(*Answers::Create({
            {"quick", [](const Question& one) { return Text(one.channel, "quick"); }},
            {"slow",
             [gate = gate_](const Question& one) {
               gate->began.release();
               gate->may_end.acquire();
               return Text(one.channel, "slow");
             }},
            {"none",
             [](const Question&) -> Result<wire::Frame> {
               return MakeError(ErrorCode::kUnavailable, "nothing is there");
             }},
            {"long",
             [](const Question& one) {
               return Text(one.channel, std::string(wire::kMaxMessageBytes, 'x'));
             }},
        })) {}
  ~AnswersTest() override { gate_->may_end.release(10); }

  // So many of them, in their order.
  std::vector<wire::Frame> Await(std::size_t count) {
    std::vector<wire::Frame> frames;
    while (frames.size() < count) {
      pollfd poll{answers_->fd(), POLLIN, 0};
      if (::poll(&poll, 1, 60'000) != 1) break;
      for (wire::Frame& frame : answers_->Take()) frames.push_back(std::move(frame));
    }
    EXPECT_EQ(frames.size(), count);
    frames.resize(count);
    return frames;
  }

  // Of the slow answers, one of which may outlive the test.
  struct Gate {
    std::counting_semaphore<> began{0};
    std::counting_semaphore<> may_end{0};
  };
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::unique_ptr<Answers> answers_;
};

TEST_F(AnswersTest, EachQuestionIsAnsweredOnItsChannelInOrder) {
  ASSERT_TRUE(answers_->Ask({5, {"slow"}}).ok());
  ASSERT_TRUE(answers_->Ask({4, {"quick"}}).ok());
  ASSERT_TRUE(answers_->Ask({7, {"none"}}).ok());
  gate_->began.acquire();
  EXPECT_TRUE(answers_->Take().empty());  // One that takes its time does not block its caller.
  gate_->may_end.release();
  const auto frames = Await(3);
  EXPECT_EQ(frames[0].channel, 5u);
  EXPECT_EQ((*wire::DecodeObject(frames[0]))["text"], "slow");
  EXPECT_EQ(frames[1].channel, 4u);
  EXPECT_EQ(frames[1].type, wire::FrameType::kAnswer);
  EXPECT_EQ(frames[2].channel, 7u);
  EXPECT_EQ(wire::ErrorFromFrame(frames[2]).message, "nothing is there");
  // After the thread has ended there is another one.
  ASSERT_TRUE(answers_->Ask({1, {"quick"}}).ok());
  EXPECT_EQ(Await(1)[0].channel, 1u);
}

TEST_F(AnswersTest, WhatNoAnswererKnowsIsRefused) {
  const Status status = answers_->Ask({1, {"other"}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
}

TEST_F(AnswersTest, AnAnswerThatNoFrameHoldsIsAnError) {
  ASSERT_TRUE(answers_->Ask({1, {"long"}}).ok());
  const auto frame = Await(1)[0];
  EXPECT_EQ(wire::ErrorFromFrame(frame).code, ErrorCode::kLimit);
}

TEST_F(AnswersTest, SoManyMayWaitAndNoMore) {
  ASSERT_TRUE(answers_->Ask({1, {"slow"}}).ok());
  gate_->began.acquire();
  for (std::size_t i = 0; i < Answers::kMaxWaiting; ++i) {
    ASSERT_TRUE(answers_->Ask({2, {"quick"}}).ok());
  }
  EXPECT_EQ(answers_->Ask({3, {"quick"}}).error().code, ErrorCode::kLimit);
  gate_->may_end.release();
  Await(1 + Answers::kMaxWaiting);
}

// An agent that powers off waits for no answer.
TEST_F(AnswersTest, ItsEndDoesNotWaitForAnAnswer) {
  ASSERT_TRUE(answers_->Ask({1, {"slow"}}).ok());
  ASSERT_TRUE(answers_->Ask({2, {"slow"}}).ok());
  gate_->began.acquire();
  answers_.reset();
}

// A process that stands still.
class Child {
 public:
  explicit Child(const char* name) {
    const auto ready = sys::MakePipe();
    PYRO_CHECK(ready.ok());
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::prctl(PR_SET_NAME, name);
      (void)sys::WriteAll(ready->write.get(), "!");
      while (true) ::pause();
    }
    char byte = 0;
    PYRO_CHECK(::read(ready->read.get(), &byte, 1) == 1);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

TEST_F(AnswersTest, AProcessCannotHideBehindItsName) {
  const Child child(")\n) Z 1 (");
  answers_ = *Answers::Create(GuestAnswerers());
  ASSERT_TRUE(answers_->Ask({3, {wire::Processes::kQuestion}}).ok());
  const auto told = wire::ReadAnswer<wire::Processes>(Await(1)[0]);
  ASSERT_TRUE(told.ok()) << told.error().message;
  const auto found = std::find_if(told->processes.begin(), told->processes.end(),
                                  [&](const auto& one) { return one.pid == child.pid(); });
  ASSERT_NE(found, told->processes.end());
  EXPECT_EQ(found->name, ")\n) Z 1 (");
  EXPECT_EQ(found->parent, ::getpid());
  EXPECT_EQ(found->uid, ::getuid());
  EXPECT_NE(found->state, "Z");
  EXPECT_NE(found->command.find("agent_session_test"), std::string::npos);
  EXPECT_GT(found->rss_kib, 0);
  EXPECT_EQ(found->sequence, 0);
}

TEST_F(AnswersTest, ASignalReachesTheCommandsProcessesAndTellsThem) {
  const Child child("victim");
  const Child other("other");
  ASSERT_EQ(::setpgid(child.pid(), child.pid()), 0);
  answers_ = *Answers::Create(GuestAnswerers());
  const wire::Ask ask = {.question = wire::Signalled::kQuestion, .sequence = 1, .signal = SIGTERM};
  ASSERT_TRUE(answers_->Ask({3, ask, child.pid()}).ok());
  const auto told = wire::ReadAnswer<wire::Signalled>(Await(1)[0]);
  ASSERT_TRUE(told.ok()) << told.error().message;
  EXPECT_EQ(told->count, 1);
  EXPECT_EQ(told->left, 0);
  ASSERT_EQ(told->processes.size(), 1u);
  EXPECT_EQ(told->processes[0].pid, child.pid());
  EXPECT_EQ(told->processes[0].name, "victim");
  EXPECT_EQ(::kill(other.pid(), 0), 0);
  int status = 0;
  EXPECT_EQ(::waitpid(other.pid(), &status, WNOHANG), 0) << "a process of no command got it";
}

TEST_F(AnswersTest, ASignalForACommandThatDoesNotRunIsRefused) {
  answers_ = *Answers::Create(GuestAnswerers());
  const wire::Ask ask = {.question = wire::Signalled::kQuestion, .sequence = 1, .signal = SIGTERM};
  ASSERT_TRUE(answers_->Ask({3, ask, 0}).ok());
  EXPECT_EQ(wire::ErrorFromFrame(Await(1)[0]).code, ErrorCode::kWrongState);
}

}  // namespace
}  // namespace pyro::agent
