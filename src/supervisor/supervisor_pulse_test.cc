// Guests that stand still, owners that do not come, and the guest's clock.

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "supervisor/testing/supervisor_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

class SupervisorPulseTest : public SupervisorFixture {
 protected:
  SupervisorPulseTest() { config_.ttl = 3600s; }

  // The agent's part, over so many beats. Returns the other frames that it got.
  Frames BeatAndAnswer(int beats) {
    Frames others;
    for (int i = 0; i < beats; ++i) {
      Pass(GuestPulse::kBeat);
      for (wire::Frame& frame : Agent().Take()) {
        if (frame.type == Type::kPing) {
          AgentSays(Answer(frame).ToFrame());
        } else {
          others.push_back(std::move(frame));
        }
      }
      for (wire::Frame& frame : Agent().Take()) others.push_back(std::move(frame));
    }
    return others;
  }

  // What the guest's clock shows was true at its start, or at the last move of it.
  wire::Pong Answer(const wire::Frame& ping) {
    return {wire::Ping::FromFrame(ping)->number, Ns(clock_) - behind_.count()};
  }
  // Late by the time that the test itself took, if at all.
  static void ExpectMove(const Frames& frames, std::chrono::nanoseconds by) {
    ASSERT_TRUE(Has(frames, Type::kSetClock));
    const auto move = wire::SetClock::FromFrame(*Find(frames, Type::kSetClock));
    EXPECT_FALSE(move->slew);
    EXPECT_LE(std::chrono::abs(std::chrono::nanoseconds(move->by_ns) - by), 10s);
  }
  static std::int64_t Ns(const Clock& clock) {
    return std::chrono::nanoseconds(clock.Now().time_since_epoch()).count();
  }

  std::chrono::nanoseconds behind_{0};
};

TEST_F(SupervisorPulseTest, AStrangerThatLeavesDoesNotReplaceTheLimitForTheOwner) {
  config_.dies_with_first_client = true;
  ASSERT_NO_FATAL_FAILURE(Begin());
  Pass(20s);
  HangUp(Connect());
  Pass(10s);
  EXPECT_EQ(record_.Count("removed"), 1);
  EXPECT_TRUE(Over());
}

TEST_F(SupervisorPulseTest, ATaskWhoseMakerNeverComesIsRemovedInItsTimeAndNotInItsLeases) {
  record_.creating = true;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  HangUp(Connect());
  Pass(30s);
  EXPECT_EQ(record_.Count("removed"), 1);
}

TEST_F(SupervisorPulseTest, AGuestEndsAtOnceIfItsCreatorDiesBeforeItConnects) {
  config_.dies_with_first_client = true;
  ASSERT_NO_FATAL_FAILURE(Begin());
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  supervisor_->WatchCreator(sys::UniqueFd(ends[0]));
  Run();
  EXPECT_EQ(ends_, 0);
  ::close(ends[1]);
  Run();
  EXPECT_EQ(record_.Count("removed"), 1);
  EXPECT_TRUE(Over());
}

TEST_F(SupervisorPulseTest, OnceTheOwnerIsHereItsCreatorMayEnd) {
  config_.dies_with_first_client = true;
  ASSERT_NO_FATAL_FAILURE(Begin());
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  supervisor_->WatchCreator(sys::UniqueFd(ends[0]));
  Client();
  ::close(ends[1]);
  Run();
  EXPECT_EQ(ends_, 0);
}

TEST_F(SupervisorPulseTest, ATimedOutCommandOfASilentGuestEndsAndTheOthersGoOn) {
  record_.keeps_journal = true;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& other = Client();
  other.Send(Exec(1, "long", true));
  FramePeer& client = Client();
  client.Send(Exec(1, "short", true, 1000));
  Run();
  const Frames asked = Agent().Take();
  const std::uint32_t first = Find(asked, Type::kExec)->channel;
  AgentBegins(first);
  AgentBegins(first + 1);
  Pass(1s);
  (void)client.Take();
  Pass(10s);
  const Frames told = client.Take();
  ASSERT_TRUE(Has(told, Type::kExited));
  EXPECT_EQ(wire::Exited::FromFrame(*Find(told, Type::kExited))->outcome, Outcome::kTimedOut);
  EXPECT_EQ(record_.Count("end 2 timed_out"), 1);
  Pass(50s);
  // It goes on: the answer to the ping that it missed, the end of the one, and that of the other.
  wire::Pong pong;
  for (const wire::Frame& frame : Agent().Take()) {
    behind_ = 50s;
    if (frame.type == Type::kPing) pong = Answer(frame);
  }
  AgentSays(pong.ToFrame());
  EXPECT_TRUE(Has(Agent().Take(), Type::kSetClock));
  behind_ = 0s;
  AgentEnds(first + 1, 0, Outcome::kTimedOut, true);
  (void)BeatAndAnswer(100);
  (void)other.Take();
  AgentEnds(first, 0, Outcome::kExited, true);
  EXPECT_TRUE(Has(other.Take(), Type::kExited));
  EXPECT_EQ(record_.Count("end 1 exited"), 1);
  EXPECT_EQ(record_.Count("end 2 timed_out"), 1);
  EXPECT_EQ(ends_, 0);
}

TEST_F(SupervisorPulseTest, AGuestThatAnswersNothingForAMinuteMoreIsLost) {
  record_.keeps_journal = true;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& other = Client();
  other.Send(Exec(1, "long", true));
  FramePeer& client = Client();
  client.Send(Exec(1, "short", true, 1000));
  Run();
  Pass(11s);
  EXPECT_EQ(ends_, 0);
  Pass(70s);
  EXPECT_EQ(record_.Count("end 1 interrupted"), 1);
  EXPECT_EQ(record_.Count("end 2 timed_out"), 1);
  EXPECT_EQ(ends_, 1);
}

TEST_F(SupervisorPulseTest, ASilentGuestWithoutAKilledCommandIsLeftAlone) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  Pass(600s);
  EXPECT_EQ(ends_, 0);
}

TEST_F(SupervisorPulseTest, AQuestionToASilentGuestIsAnsweredWithAnErrorInTime) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(wire::Ask{"what"}.ToFrame(3));
  Run();
  const std::uint32_t channel = Agent().Take().at(0).channel;
  (void)client.Take();
  Pass(19s);
  EXPECT_TRUE(client.Take().empty());
  Pass(1s);
  const Frames told = client.Take();
  EXPECT_EQ(ErrorIn(told), "the guest has not answered for 20 s");
  EXPECT_EQ(Find(told, Type::kError)->channel, 3u);
  // It goes on, and so do its clients.
  AgentSays(
      wire::Frame{.type = Type::kAnswer, .channel = channel, .payload = ToCbor(Json::object())});
  client.Send(wire::Ask{"what"}.ToFrame(3));
  Run();
  const Frames asked = Agent().Take();
  ASSERT_TRUE(Has(asked, Type::kAsk));
  AgentSays(wire::Frame{.type = Type::kAnswer,
                        .channel = Find(asked, Type::kAsk)->channel,
                        .payload = ToCbor({{"text", "this"}})});
  EXPECT_TRUE(Has(client.Take(), Type::kAnswer));
  EXPECT_EQ(ends_, 0);
}

TEST_F(SupervisorPulseTest, AStepOfTheHostsClockReachesTheGuestWithTheTimeOfThatMoment) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  clock_.Advance(7200s);  // And no time passes.
  behind_ = 7200s;
  ExpectMove(BeatAndAnswer(1), 7200s);
}

TEST_F(SupervisorPulseTest, AStepThatIsToldReachesTheGuestWithoutABeat) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  supervisor_->WatchClock(sys::UniqueFd(ends[0]));
  AgentGreets();
  AgentIsReady();
  (void)Agent().Take();
  for (const auto step : {-3600s, 7200s}) {
    clock_.Advance(step);
    behind_ = step;
    ASSERT_EQ(::write(ends[1], "s", 1), 1);
    Run();
    const Frames asked = Agent().Take();
    ASSERT_TRUE(Has(asked, Type::kPing)) << step.count();
    AgentSays(Answer(*Find(asked, Type::kPing)).ToFrame());
    ExpectMove(Agent().Take(), step);
  }
  // The watch may end, and the beats go on.
  ::close(ends[1]);
  Run();
  behind_ = 20s;
  ExpectMove(BeatAndAnswer(1), 20s);
}

TEST_F(SupervisorPulseTest, AClockThatDriftsIsCorrectedAndOneThatAProgramSetIsNot) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  supervisor_->WatchClock(sys::UniqueFd(ends[0]));
  AgentGreets();
  AgentIsReady();
  const auto ask = [&] {
    (void)Agent().Take();
    ASSERT_EQ(::write(ends[1], "s", 1), 1);
    Run();
  };
  ask();
  behind_ = 200ms;
  const Frames asked = Agent().Take();
  ASSERT_TRUE(Has(asked, Type::kPing));
  AgentSays(Answer(*Find(asked, Type::kPing)).ToFrame());
  const Frames told = Agent().Take();
  ASSERT_TRUE(Has(told, Type::kSetClock));
  EXPECT_TRUE(wire::SetClock::FromFrame(*Find(told, Type::kSetClock))->slew);
  ask();
  behind_ = 1'000'000s;
  const Frames again = Agent().Take();
  ASSERT_TRUE(Has(again, Type::kPing));
  wire::Pong pong = Answer(*Find(again, Type::kPing));
  pong.clock_was_set = true;
  AgentSays(pong.ToFrame());
  EXPECT_FALSE(Has(Agent().Take(), Type::kSetClock));
  ::close(ends[1]);
  EXPECT_EQ(ends_, 0);
}

TEST_F(SupervisorPulseTest, APongToNoPingEndsTheGuest) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  AgentSays(wire::Pong{99}.ToFrame());
  EXPECT_EQ(ends_, 1);
}

}  // namespace
}  // namespace pyro::supervisor
