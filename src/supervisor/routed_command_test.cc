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

TEST_F(RoutedCommandTest, AGuestThatNeverBeginsACommandIsNotWaitedForForEver) {
  Begin();
  timers_.Advance(120s - 1ms);
  EXPECT_EQ(given_up_, 0);
  timers_.Advance(1ms);
  EXPECT_EQ(given_up_, 1);
  EXPECT_EQ(ToGuest().at(0).type, FrameType::kKill);
  const Error told = wire::ErrorFromFrame(ToClient(1).back());
  EXPECT_EQ(told.code, ErrorCode::kGuestUnavailable);
  EXPECT_EQ(told.message, "the guest has not begun the command for 120 s");
  // What it still says is dropped.
  EXPECT_FALSE(*command_.FromGuest(wire::Plain(FrameType::kStarted, 7)));
  timers_.Advance(3600s);
  EXPECT_EQ(given_up_, 1);
  EXPECT_TRUE(ToClient(1).empty());
}

TEST_F(RoutedCommandTest, ACommandThatHasBegunHasNoLimitButItsOwn) {
  Begin();
  ASSERT_TRUE(command_.FromGuest(wire::Plain(FrameType::kStarted, 7)).ok());
  timers_.Advance(24h);
  EXPECT_EQ(given_up_, 0);
}

TEST_F(RoutedCommandTest, AGuestThatStopsInAnOperationOnFilesIsNotWaitedForForEver) {
  wire::Exec exec;
  exec.cwd = "/";
  exec.file = wire::FileRequest{.operation = wire::FileOperation::kWrite, .path = "f"};
  command_.Begin(exec);
  ASSERT_TRUE(command_.FromGuest(wire::Plain(FrameType::kStarted, 7)).ok());
  // The guest waits for its client.
  timers_.Advance(6h);
  EXPECT_EQ(given_up_, 0);
  ASSERT_TRUE(command_.FromClient(EofFrame(5, Stream::kStdin)).ok());
  timers_.Advance(600s);  // Something has moved in this time.
  EXPECT_EQ(given_up_, 0);
  ASSERT_TRUE(command_.FromGuest(DataFrame(7, Stream::kStdout, 3)).ok());
  timers_.Advance(600s);
  EXPECT_EQ(given_up_, 0);
  timers_.Advance(600s);
  EXPECT_EQ(given_up_, 1);
  EXPECT_EQ(wire::ErrorFromFrame(ToClient(1).back()).message,
            "the guest has not gone on with the operation on files for 600 s");
}

TEST_F(RoutedCommandTest, AWatchMayBeSilent) {
  wire::Exec exec;
  exec.cwd = "/";
  exec.file = wire::FileRequest{.operation = wire::FileOperation::kWatch, .path = "."};
  command_.Begin(exec);
  ASSERT_TRUE(command_.FromGuest(wire::Plain(FrameType::kStarted, 7)).ok());
  ASSERT_TRUE(command_.FromClient(EofFrame(5, Stream::kStdin)).ok());
  timers_.Advance(24h);
  EXPECT_EQ(given_up_, 0);
}

TEST_F(RoutedCommandTest, AnErrorOfTheGuestIsHarmlessAndHasNoHint) {
  Begin();
  const Error error =
      MakeError(ErrorCode::kNotFound, "\x1b[2Jgone\n" + std::string(3000, 'x'), "run this");
  ASSERT_TRUE(*command_.FromGuest(wire::ErrorFrame(7, error)));
  const Error told = wire::ErrorFromFrame(ToClient(1).back());
  EXPECT_EQ(told.code, ErrorCode::kNotFound);
  EXPECT_EQ(told.hint, "");
  EXPECT_LE(told.message.size(), 1100u);
  EXPECT_EQ(told.message.find_first_of("\x1b\n"), std::string::npos);
}

TEST_F(RoutedCommandTest, OutputOfNoBytesIsABreach) {
  Begin();
  EXPECT_FALSE(command_.FromGuest(DataFrame(7, Stream::kStdout, 0)).ok());
}

TEST_F(RoutedCommandTest, TheSizesOfOutputAreThoseThatCame) {
  Begin();
  ASSERT_TRUE(command_.FromGuest(DataFrame(7, Stream::kStdout, 3)).ok());
  EXPECT_FALSE(*command_.FromGuest(EofFrame(7, Stream::kStdout)));
  EXPECT_FALSE(*command_.FromGuest(EofFrame(7, Stream::kStderr)));
  wire::Exited lie;
  lie.stdout_bytes = lie.stderr_bytes = std::int64_t{1} << 60;
  ASSERT_TRUE(*command_.FromGuest(lie.ToFrame(7)));
  const auto told = wire::Exited::FromFrame(ToClient(1).back());
  EXPECT_EQ(told->stdout_bytes, 3u);
  EXPECT_EQ(told->stderr_bytes, 0u);
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
  EXPECT_EQ(ToClient(1).back().type, FrameType::kError);
}

Frame TextFrame(std::uint32_t channel, Stream stream, std::string text) {
  Frame frame = DataFrame(channel, stream, 1);
  frame.payload = std::move(text);
  return frame;
}

std::string TextOf(const std::vector<Frame>& frames) {
  std::string text;
  for (const Frame& frame : frames) {
    if (frame.type == FrameType::kData) text += frame.payload;
  }
  return text;
}

TEST_F(RoutedCommandTest, AValueIsHiddenThatComesInPieces) {
  mask_.Add("KEY", "value-of-a-secret");
  Begin();
  ASSERT_TRUE(command_.FromGuest(TextFrame(7, Stream::kStdout, "> value-of-")).ok());
  EXPECT_EQ(TextOf(ToClient(1)), "> ");
  ASSERT_TRUE(command_.FromGuest(TextFrame(7, Stream::kStderr, "a-secret")).ok());
  EXPECT_EQ(TextOf(ToClient(1)), "a-secret") << "the other stream has a state of its own";
  ASSERT_TRUE(command_.FromGuest(TextFrame(7, Stream::kStdout, "a-secret value")).ok());
  EXPECT_EQ(TextOf(ToClient(1)), "[secret KEY]***** ");
  Frame eof;
  eof.type = FrameType::kEof;
  eof.channel = 7;
  eof.stream = Stream::kStdout;
  ASSERT_TRUE(command_.FromGuest(std::move(eof)).ok());
  EXPECT_EQ(TextOf(ToClient(1)), "value") << "what was kept back comes before the end";
}

TEST_F(RoutedCommandTest, WhatWasKeptBackIsShownWhenTheGuestIsGone) {
  mask_.Add("KEY", "value-of-a-secret");
  Begin();
  ASSERT_TRUE(command_.FromGuest(TextFrame(7, Stream::kStdout, "value-of")).ok());
  EXPECT_EQ(TextOf(ToClient(1)), "");
  command_.End(Outcome::kInterrupted);
  EXPECT_EQ(TextOf(ToClient(1)), "value-of");
}

TEST_F(RoutedCommandTest, APieceThatGrowsByWhatWasKeptBackIsCutIntoFrames) {
  mask_.Add("KEY", "value-of-a-secret");
  Begin();
  ASSERT_TRUE(command_.FromGuest(TextFrame(7, Stream::kStdout, "value-of")).ok());
  ASSERT_TRUE(
      command_.FromGuest(TextFrame(7, Stream::kStdout, std::string(wire::kMaxDataBytes, 'x')))
          .ok());
  EXPECT_EQ(TextOf(ToClient(1)).size(), wire::kMaxDataBytes + 8);
}

}  // namespace
}  // namespace pyro::supervisor
