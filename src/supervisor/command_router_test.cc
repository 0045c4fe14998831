#include "supervisor/command_router.h"

#include <cerrno>
#include <chrono>

#include <gtest/gtest.h>

#include "supervisor/testing/router_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

TEST_F(CommandRouterTest, HoldsCommandsUntilTheGuestIsReady) {
  ASSERT_TRUE(router_.FromClient(1, ExecFrame(7)).ok());
  ASSERT_TRUE(router_.FromClient(1, EofFrame(7, Stream::kStdin)).ok());
  EXPECT_TRUE(ToGuest().empty());
  EXPECT_FALSE(router_.idle());
  EXPECT_TRUE(router_.GuestReady("/bin/sh").empty());
  const auto frames = ToGuest();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].type, FrameType::kExec);
  EXPECT_EQ(frames[1].type, FrameType::kEof);
}

TEST_F(CommandRouterTest, AScriptIsRunByTheGuestsOwnShell) {
  router_.GuestReady("/bin/bash");
  wire::Exec exec;
  exec.argv = {"/bin/sh", "-c", "echo"};
  exec.cwd = "/";
  for (const bool script : {false, true}) {
    exec.script = script;
    ASSERT_TRUE(router_.FromClient(1, exec.ToFrame(script ? 6 : 5)).ok());
    const auto given = wire::Exec::FromFrame(ToGuest().at(0));
    ASSERT_TRUE(given.ok());
    EXPECT_EQ(given->argv[0], script ? "/bin/bash" : "/bin/sh");
  }
}

TEST_F(CommandRouterTest, CommandThatNeverBeganEndsWithoutOutput) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t channel = Begin(1, 5);
  wire::Exited exited;
  exited.outcome = Outcome::kNotStarted;
  exited.code = ENOENT;
  ASSERT_TRUE(router_.FromGuest(exited.ToFrame(channel)).ok());
  const auto frames = ToClient(1);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].type, FrameType::kExited);
  EXPECT_EQ(frames[0].channel, 5u);
  EXPECT_TRUE(router_.idle());
}

TEST_F(CommandRouterTest, CommandThatBeganMustEndItsOutputFirst) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t channel = Begin(1, 5);
  ASSERT_TRUE(router_.FromGuest(wire::Plain(FrameType::kStarted, channel)).ok());
  wire::Exited exited;
  exited.outcome = Outcome::kNotStarted;
  exited.code = ENOENT;
  EXPECT_FALSE(router_.FromGuest(exited.ToFrame(channel)).ok());
}

TEST_F(CommandRouterTest, TwoClientsMayUseTheSameChannelNumber) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t first = Begin(1, 5);
  const std::uint32_t second = Begin(2, 5);
  EXPECT_NE(first, second);
  ASSERT_TRUE(router_.FromGuest(DataFrame(second, Stream::kStdout, 3)).ok());
  EXPECT_TRUE(ToClient(1).empty());
  const auto frames = ToClient(2);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].channel, 5u);
}

TEST_F(CommandRouterTest, EndsAndFreesTheChannel) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t channel = Begin(1, 5);
  EXPECT_EQ(use_changes_, 1);
  ASSERT_TRUE(Exit(channel).ok());
  EXPECT_TRUE(router_.idle());
  EXPECT_EQ(use_changes_, 2);
  EXPECT_EQ(ToClient(1).back().type, FrameType::kExited);
  // What crossed the end on its way is no breach.
  EXPECT_TRUE(router_.FromClient(1, DataFrame(5, Stream::kStdin, 3)).ok());
  EXPECT_TRUE(ToGuest().empty());
  EXPECT_TRUE(router_.FromClient(1, ExecFrame(5)).ok());
}

TEST_F(CommandRouterTest, AGuestThatSendsMoreThanItMayIsCaught) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t channel = Begin(1, 5);
  for (std::size_t sent = 0; sent < wire::kInitialCredit; sent += wire::kMaxDataBytes) {
    ASSERT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStdout, wire::kMaxDataBytes)).ok());
  }
  EXPECT_FALSE(router_.FromGuest(DataFrame(channel, Stream::kStdout, 1)).ok());
  EXPECT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStderr, 1)).ok());
}

TEST_F(CommandRouterTest, CreditFromTheClientLetsTheGuestGoOn) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t channel = Begin(1, 5);
  ASSERT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStdout, 1000)).ok());
  ASSERT_TRUE(router_.FromClient(1, CreditFrame(5, Stream::kStdout, 1000)).ok());
  const auto frames = ToGuest();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(*DecodeCredit(frames[0]), 1000u);
  EXPECT_FALSE(router_.FromClient(1, CreditFrame(5, Stream::kStdout, 1)).ok())
      << "credit for nothing";
}

TEST_F(CommandRouterTest, GuestBreachesAreFound) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t channel = Begin(1, 5);
  EXPECT_FALSE(router_.FromGuest(DataFrame(channel + 1, Stream::kStdout, 1)).ok())
      << "unknown channel";
  EXPECT_FALSE(router_.FromGuest(DataFrame(channel, Stream::kStdin, 1)).ok());
  EXPECT_FALSE(router_.FromGuest(ExitedFrame(channel)).ok()) << "before the ends of its output";
  EXPECT_FALSE(router_.FromGuest(CreditFrame(channel, Stream::kStdin, 1)).ok())
      << "credit for nothing";
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStdout)).ok());
  EXPECT_FALSE(router_.FromGuest(DataFrame(channel, Stream::kStdout, 1)).ok()) << "after its end";
  EXPECT_FALSE(router_.FromGuest(EofFrame(channel, Stream::kStdout)).ok());
  EXPECT_FALSE(router_.FromGuest(ExecFrame(channel)).ok());
  ASSERT_TRUE(router_.FromGuest(wire::Plain(FrameType::kStarted, channel)).ok());
  EXPECT_FALSE(router_.FromGuest(wire::Plain(FrameType::kStarted, channel)).ok());
}

TEST_F(CommandRouterTest, ClientBreachesAreFound) {
  router_.GuestReady("/bin/sh");
  Begin(1, 5);
  EXPECT_FALSE(router_.FromClient(1, ExecFrame(5)).ok()) << "channel in use";
  EXPECT_FALSE(router_.FromClient(1, DataFrame(5, Stream::kStdout, 1)).ok());
  EXPECT_FALSE(router_.FromClient(1, CreditFrame(5, Stream::kStdin, 1)).ok());
  EXPECT_FALSE(router_.FromClient(1, ExitedFrame(5)).ok());
  EXPECT_FALSE(router_.FromClient(1, DataFrame(0, Stream::kStdin, 1)).ok());
  for (std::size_t sent = 0; sent < wire::kInitialCredit; sent += wire::kMaxDataBytes) {
    ASSERT_TRUE(router_.FromClient(1, DataFrame(5, Stream::kStdin, wire::kMaxDataBytes)).ok());
  }
  EXPECT_FALSE(router_.FromClient(1, DataFrame(5, Stream::kStdin, 1)).ok());
}

TEST_F(CommandRouterTest, WhatAClientSentTooEarlyIsCheckedToo) {
  ASSERT_TRUE(router_.FromClient(3, ExecFrame(5)).ok());
  ASSERT_TRUE(router_.FromClient(3, DataFrame(5, Stream::kStdout, 1)).ok());
  EXPECT_EQ(router_.GuestReady("/bin/sh"), std::vector<ClientId>{3});
}

TEST_F(CommandRouterTest, AClientThatLeavesTakesItsCommandsAlong) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t channel = Begin(1, 5);
  const std::uint32_t other = Begin(2, 5);
  ASSERT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStdout, 1000)).ok());
  router_.ClientGone(1);
  const auto frames = ToGuest();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].type, FrameType::kKill);
  EXPECT_EQ(frames[0].channel, channel);
  // Output that the client never took must not delay the guest.
  EXPECT_EQ(*DecodeCredit(frames[1]), 1000u);
  to_client_.clear();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStdout, wire::kMaxDataBytes)).ok())
        << i;
  }
  ASSERT_TRUE(Exit(channel).ok());
  EXPECT_TRUE(ToClient(1).empty());
  EXPECT_FALSE(router_.idle());
  ASSERT_TRUE(Exit(other).ok());
  EXPECT_TRUE(router_.idle());
}

TEST_F(CommandRouterTest, AClientThatLeavesWithoutACommandHasNotUsedTheGuest) {
  router_.ClientGone(1);
  router_.GuestReady("/bin/sh");
  router_.ClientGone(2);
  EXPECT_EQ(use_changes_, 0);
}

TEST_F(CommandRouterTest, ACommandThatNeverBeganEndsItsUseWithItsClient) {
  ASSERT_TRUE(router_.FromClient(1, ExecFrame(5)).ok());
  EXPECT_EQ(use_changes_, 1);
  router_.ClientGone(1);
  EXPECT_EQ(use_changes_, 2);
  EXPECT_TRUE(router_.idle());
}

TEST_F(CommandRouterTest, ATimeoutKillsOnce) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t channel = Begin(1, 5, 3000);
  timers_.Advance(2999ms);
  EXPECT_TRUE(ToGuest().empty());
  timers_.Advance(1ms);
  ASSERT_TRUE(router_.FromClient(1, wire::Kill{wire::KillReason::kCancelled}.ToFrame(5)).ok());
  const auto frames = ToGuest();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].channel, channel);
  EXPECT_EQ(wire::Kill::FromFrame(frames[0])->reason, wire::KillReason::kTimedOut);
  ASSERT_TRUE(Exit(channel).ok());
  EXPECT_EQ(timers_.waiting(), 0u);
}

TEST_F(CommandRouterTest, AStalledReaderDoesNotMakeTheGuestLookStuck) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t channel = Begin(1, 5, 1000);
  for (std::size_t sent = 0; sent < wire::kInitialCredit; sent += wire::kMaxDataBytes) {
    ASSERT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStdout, wire::kMaxDataBytes)).ok());
  }
  timers_.Advance(60s);
  EXPECT_EQ(router_.given_up(), 0u);
  ASSERT_TRUE(router_.FromClient(1, CreditFrame(5, Stream::kStdout, 1)).ok());
  timers_.Advance(10s);
  EXPECT_EQ(router_.given_up(), 1u);
}

TEST_F(CommandRouterTest, WhenTheGuestDiesEveryCommandIsLost) {
  ASSERT_TRUE(router_.FromClient(2, ExecFrame(9)).ok());
  router_.GuestGone();
  EXPECT_EQ(ToClient(2).back().type, FrameType::kError);
  EXPECT_TRUE(router_.idle());
}

TEST_F(CommandRouterTest, LostCommandsEndInOrder) {
  router_.GuestReady("/bin/sh");
  Begin(1, 5);
  router_.GuestGone();
  const auto frames = ToClient(1);
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].type, FrameType::kEof);
  EXPECT_EQ(wire::Exited::FromFrame(frames[2])->outcome, Outcome::kInterrupted);
}

TEST_F(CommandRouterTest, TheNumberOfCommandsIsBounded) {
  router_.GuestReady("/bin/sh");
  for (std::uint32_t i = 1; i <= wire::kMaxChannels; ++i)
    ASSERT_TRUE(router_.FromClient(1, ExecFrame(i)).ok());
  ASSERT_TRUE(router_.FromClient(1, ExecFrame(9999)).ok());
  const Frame refusal = ToClient(1).back();
  EXPECT_EQ(wire::ErrorFromFrame(refusal).code, ErrorCode::kLimit);
  EXPECT_EQ(refusal.channel, 9999u);
}

TEST_F(CommandRouterTest, ACommandGivenUpEndsForItsClientAsItsKillWasMeant) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t timed_out = Begin(1, 5, 1000);
  Begin(2, 5);
  Begin(3, 5);  // Is not killed.
  ASSERT_TRUE(router_.FromGuest(DataFrame(timed_out, Stream::kStdout, 10)).ok());
  (void)ToClient(1);
  timers_.Advance(1s);
  router_.ClientGone(4);
  ASSERT_TRUE(router_.FromClient(2, wire::Kill{wire::KillReason::kCancelled}.ToFrame(5)).ok());
  (void)ToGuest();
  timers_.Advance(10s);
  const auto frames = ToClient(1);
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].type, FrameType::kEof);
  EXPECT_EQ(frames[1].type, FrameType::kEof);
  const auto exited = wire::Exited::FromFrame(frames[2]);
  ASSERT_TRUE(exited.ok());
  EXPECT_EQ(exited->outcome, Outcome::kTimedOut);
  EXPECT_EQ(exited->stdout_bytes, 10u);
  EXPECT_EQ(wire::Exited::FromFrame(ToClient(2).back())->outcome, Outcome::kCancelled);
  EXPECT_TRUE(ToClient(3).empty());
  EXPECT_EQ(router_.given_up(), 2u);
}

TEST_F(CommandRouterTest, WhatAGuestStillSaysOfACommandGivenUpIsDroppedAndHoldsNothingUp) {
  router_.GuestReady("/bin/sh");
  const std::uint32_t channel = Begin(1, 5, 1000);
  timers_.Advance(11s);
  EXPECT_TRUE(router_.idle());
  // Its client goes on, on the same channel.
  const std::uint32_t next = [&] {
    (void)ToGuest();
    return Begin(1, 5);
  }();
  EXPECT_NE(next, channel);
  (void)ToClient(1);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStdout, wire::kMaxDataBytes)).ok());
  }
  const int changes = use_changes_;
  ASSERT_TRUE(Exit(channel).ok());
  EXPECT_EQ(use_changes_, changes) << "its late end counts as use";
  EXPECT_EQ(router_.given_up(), 0u);
  EXPECT_TRUE(ToClient(1).empty());
  ASSERT_TRUE(router_.FromGuest(DataFrame(next, Stream::kStdout, 1)).ok());
  EXPECT_EQ(ToClient(1).size(), 1u);
  ASSERT_TRUE(Exit(next).ok());
  EXPECT_TRUE(router_.idle());
}

TEST_F(CommandRouterTest, ACommandGivenUpGoesWithItsGuestWithoutASecondEnd) {
  router_.GuestReady("/bin/sh");
  Begin(1, 5, 1000);
  timers_.Advance(11s);
  EXPECT_EQ(router_.given_up(), 1u);
  (void)ToClient(1);
  router_.GuestGone();
  EXPECT_TRUE(ToClient(1).empty());
  EXPECT_EQ(router_.given_up(), 0u);
}

}  // namespace
}  // namespace pyro::supervisor
