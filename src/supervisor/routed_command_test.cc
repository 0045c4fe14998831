// One command by itself: its channels, its windows, its kill and the clients that wait for its end.

#include "supervisor/routed_command.h"

#include <chrono>

#include <gtest/gtest.h>

#include "supervisor/testing/router_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

// The guest's channel 7 is channel 5 of client 1.
class RoutedCommandTest : public CommandPortsTest {
 protected:
  void Begin(std::int64_t timeout_ms = 0) {
    command_.Begin(*wire::Exec::FromFrame(ExecFrame(1, timeout_ms)));
    const auto frames = ToGuest();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].channel, 7u);
  }

  int given_up_ = 0;
  Mask mask_;
  const RoutedCommand::Place place_{ports(), timers_, nullptr, mask_,
                                    [this](RoutedCommand& command) {
                                      ++given_up_;
                                      command.GiveUp();
                                    }};
  RoutedCommand command_{place_, {1, 5}, 7, 0};
};

TEST_F(RoutedCommandTest, EachSideGetsItsOwnChannel) {
  Begin();
  ASSERT_TRUE(command_.FromClient(DataFrame(5, Stream::kStdin, 3)).ok());
  EXPECT_EQ(ToGuest().at(0).channel, 7u);
  ASSERT_TRUE(command_.FromGuest(DataFrame(7, Stream::kStdout, 3)).ok());
  EXPECT_EQ(ToClient(1).at(0).channel, 5u);
}

TEST_F(RoutedCommandTest, OnlyTheGuestsOwnReportEndsIt) {
  Begin();
  EXPECT_FALSE(*command_.FromGuest(EofFrame(7, Stream::kStdout)));
  EXPECT_FALSE(*command_.FromGuest(EofFrame(7, Stream::kStderr)));
  EXPECT_TRUE(*command_.FromGuest(ExitedFrame(7)));
  EXPECT_EQ(ToClient(1).back().type, FrameType::kExited);
}

TEST_F(RoutedCommandTest, AGuestThatOwesTheEndOfAKilledCommandIsReportedOnce) {
  Begin(1000);
  timers_.Advance(1s);
  EXPECT_EQ(ToGuest().at(0).type, FrameType::kKill);
  timers_.Advance(10s - 1ms);
  EXPECT_EQ(given_up_, 0);
  timers_.Advance(1ms);
  EXPECT_EQ(given_up_, 1);
  EXPECT_TRUE(command_.given_up());
  EXPECT_EQ(wire::Exited::FromFrame(ToClient(1).back())->outcome, Outcome::kTimedOut);
  command_.Kill(wire::KillReason::kCancelled);
  timers_.Advance(60s);
  EXPECT_EQ(given_up_, 1);
  EXPECT_TRUE(ToGuest().empty());
}

TEST_F(RoutedCommandTest, OutputThatNoClientTakesIsGrantedAgainByHalfAWindow) {
  Begin();
  command_.ClientGone(2);
  EXPECT_TRUE(ToGuest().empty());
  command_.ClientGone(1);
  EXPECT_EQ(ToGuest().at(0).type, FrameType::kKill);
  std::size_t sent = 0;
  for (; sent + wire::kMaxDataBytes < wire::kInitialCredit / 2; sent += wire::kMaxDataBytes) {
    ASSERT_TRUE(command_.FromGuest(DataFrame(7, Stream::kStdout, wire::kMaxDataBytes)).ok());
  }
  EXPECT_TRUE(ToGuest().empty());
  ASSERT_TRUE(command_.FromGuest(DataFrame(7, Stream::kStdout, wire::kMaxDataBytes)).ok());
  EXPECT_EQ(*DecodeCredit(ToGuest().at(0)), sent + wire::kMaxDataBytes);
  EXPECT_TRUE(ToClient(1).empty());
}

TEST_F(RoutedCommandTest, EachClientThatWaitsAndStaysGetsTheEndAndTheirNumberIsBounded) {
  Begin();
  for (ClientId client = 10; client < 266; ++client) {
    ASSERT_TRUE(command_.Await({client, 9}).ok());
  }
  EXPECT_FALSE(command_.Await({266, 9}).ok());
  command_.ClientGone(10);
  ASSERT_TRUE(*command_.FromGuest(wire::ErrorFrame(7, Error{})));
  EXPECT_TRUE(ToClient(10).empty());
  EXPECT_EQ(ToClient(11).at(0).channel, 9u);
  EXPECT_EQ(wire::Exited::FromFrame(ToClient(265).at(0))->outcome, Outcome::kInterrupted);
  EXPECT_EQ(ToClient(1).at(0).type, FrameType::kError);
}

}  // namespace
}  // namespace pyro::supervisor
