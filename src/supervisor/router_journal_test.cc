// Commands that a journal keeps, as the router of a task carries them.

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "supervisor/testing/router_fixture.h"

namespace pyro::supervisor {
namespace {

class KeptCommands : public CommandJournal {
 public:
  Result<std::int64_t> Begin(const wire::Exec&) override {
    if (full_) return MakeError(ErrorCode::kNoSpace, "full");
    return ++recorded_;
  }
  void Append(std::int64_t sequence, OutputStream, std::string_view bytes) override {
    kept_[sequence] += bytes;
  }
  void End(std::int64_t sequence, const CommandEnd& end) override {
    ended_[sequence] = end.outcome;
  }
  bool settled() const override { return true; }
  void Settle() override {}

 protected:
  bool full_ = false;
  std::int64_t recorded_ = 0;
  std::map<std::int64_t, std::string> kept_;
  std::map<std::int64_t, Outcome> ended_;
};

// A router with a journal, as a task's supervisor has it.
class JournalRouterTest : public KeptCommands, public CommandRouterTest {
 protected:
  JournalRouterTest() : CommandRouterTest(this) { router_.GuestReady("/bin/sh"); }

  std::uint32_t BeginJournaled(ClientId client, std::uint32_t channel, std::int64_t timeout_ms = 0,
                               bool kept = true) {
    wire::Exec exec;
    exec.argv = {"true"};
    exec.cwd = "/";
    exec.timeout_ms = timeout_ms;
    exec.journal = true;
    exec.kept = kept;
    EXPECT_TRUE(router_.FromClient(client, exec.ToFrame(channel)).ok());
    const auto frames = ToGuest();
    return frames.empty() ? 0 : frames.at(0).channel;
  }
  std::uint32_t BeginUnkept() { return BeginJournaled(1, 5, 0, /*kept=*/false); }
};

TEST_F(JournalRouterTest, RecordsBeforeTheGuestIsAskedAndAgainBeforeTheClientIsTold) {
  const std::uint32_t channel = BeginJournaled(1, 5);
  EXPECT_EQ(recorded_, 1);
  EXPECT_EQ(wire::Accepted::FromFrame(ToClient(1).at(0))->sequence, 1);
  ASSERT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStdout, 3)).ok());
  EXPECT_EQ(kept_[1], "xxx");
  EXPECT_TRUE(ToClient(1).empty()) << "output is read from the journal";
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStdout)).ok());
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStderr)).ok());
  EXPECT_TRUE(ended_.empty());
  ASSERT_TRUE(router_.FromGuest(ExitedFrame(channel)).ok());
  EXPECT_EQ(ended_.at(1), Outcome::kExited);
  EXPECT_EQ(ToClient(1).back().type, FrameType::kExited);
}

TEST_F(JournalRouterTest, TellsWhichUseTheJournalHasRecordedWithTheLease) {
  const std::uint32_t journaled = BeginJournaled(1, 5);
  ASSERT_TRUE(Exit(journaled).ok());
  EXPECT_EQ(use_changes_, 2);
  EXPECT_EQ(journaled_changes_, 2);
  to_guest_.clear();
  ASSERT_TRUE(Exit(CommandRouterTest::Begin(1, 6)).ok());
  EXPECT_EQ(use_changes_, 4);
  EXPECT_EQ(journaled_changes_, 2);
}

TEST_F(JournalRouterTest, TheGuestIsToldTheSequenceThatTheJournalGave) {
  wire::Exec exec;
  exec.argv = {"true"};
  exec.cwd = "/";
  exec.sequence = 77;
  ASSERT_TRUE(router_.FromClient(1, exec.ToFrame(4)).ok());
  exec.journal = true;
  ASSERT_TRUE(router_.FromClient(1, exec.ToFrame(5)).ok());
  const auto frames = ToGuest();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(wire::Exec::FromFrame(frames[0])->sequence, 0);
  EXPECT_EQ(wire::Exec::FromFrame(frames[1])->sequence, 1);
}

TEST_F(JournalRouterTest, AClientThatLeavesLeavesItsCommandRunning) {
  const std::uint32_t channel = BeginJournaled(1, 5);
  router_.ClientGone(1);
  const auto frames = ToGuest();
  ASSERT_EQ(frames.size(), 1u) << "no kill";
  EXPECT_EQ(frames[0].type, FrameType::kEof);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStdout, wire::kMaxDataBytes)).ok());
  }
  EXPECT_EQ(kept_[1].size(), 100 * wire::kMaxDataBytes);
}

TEST_F(JournalRouterTest, UnkeptOutputGoesToTheClientWithItsCreditAndTheEndIsRecorded) {
  const std::uint32_t channel = BeginUnkept();
  EXPECT_EQ(wire::Accepted::FromFrame(ToClient(1).at(0))->sequence, 1);
  ASSERT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStdout, 3)).ok());
  EXPECT_EQ(ToClient(1).back().payload, "xxx");
  EXPECT_TRUE(kept_.empty());
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStdout)).ok());
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStderr)).ok());
  ASSERT_TRUE(router_.FromGuest(ExitedFrame(channel)).ok());
  EXPECT_EQ(ended_.at(1), Outcome::kExited);
  EXPECT_EQ(ToClient(1).back().type, FrameType::kExited);
}

TEST_F(JournalRouterTest, AnUnkeptCommandDiesWithItsClient) {
  const std::uint32_t channel = BeginUnkept();
  router_.ClientGone(1);
  EXPECT_EQ(ToGuest().back().type, FrameType::kKill);
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStdout)).ok());
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStderr)).ok());
  ASSERT_TRUE(router_.FromGuest(ExitedFrame(channel)).ok());
  EXPECT_EQ(ended_.count(1), 1u);
}

TEST_F(JournalRouterTest, WhatCannotBeRecordedIsNotRun) {
  full_ = true;
  EXPECT_EQ(BeginJournaled(1, 5), 0u);
  EXPECT_EQ(wire::ErrorFromFrame(ToClient(1).at(0)).code, ErrorCode::kNoSpace);
  EXPECT_TRUE(router_.idle());
}

TEST_F(JournalRouterTest, ADeadGuestInterruptsItsCommands) {
  BeginJournaled(1, 5);
  router_.GuestGone();
  EXPECT_EQ(ended_.at(1), Outcome::kInterrupted);
}

TEST_F(JournalRouterTest, AnyClientMayCancelACommandByItsSequence) {
  const std::uint32_t channel = BeginJournaled(1, 5);
  ASSERT_TRUE(router_.FromClient(2, wire::Cancel{1}.ToFrame(9)).ok());
  const auto frames = ToGuest();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].channel, channel);
  EXPECT_EQ(wire::Kill::FromFrame(frames[0])->reason, wire::KillReason::kCancelled);
  ASSERT_TRUE(router_.FromClient(3, wire::Cancel{1}.ToFrame(9)).ok());
  EXPECT_TRUE(ToGuest().empty()) << "killed once";
  router_.ClientGone(3);
  EXPECT_TRUE(ToClient(2).empty()) << "told once it is recorded";
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStdout)).ok());
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStderr)).ok());
  wire::Exited exited;
  exited.outcome = Outcome::kCancelled;
  ASSERT_TRUE(router_.FromGuest(exited.ToFrame(channel)).ok());
  EXPECT_EQ(ended_.at(1), Outcome::kCancelled);
  const auto told = ToClient(2);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].type, FrameType::kExited);
  EXPECT_EQ(told[0].channel, 9u);
  EXPECT_TRUE(ToClient(3).empty());
  EXPECT_EQ(ToClient(1).back().type, FrameType::kExited)
      << "a client that waits for it gets its end";
}

TEST_F(JournalRouterTest, WhatDoesNotRunCannotBeCancelled) {
  ASSERT_TRUE(router_.FromClient(2, wire::Cancel{1}.ToFrame(9)).ok());
  EXPECT_EQ(wire::ErrorFromFrame(ToClient(2).at(0)).code, ErrorCode::kNotFound);
  BeginJournaled(1, 5);
  EXPECT_FALSE(router_.FromClient(1, wire::Cancel{1}.ToFrame(5)).ok()) << "channel in use";
  EXPECT_FALSE(router_.FromClient(2, wire::Cancel{1}.ToFrame(0)).ok());
}

TEST_F(JournalRouterTest, ACancellingClientIsToldWhenTheGuestDies) {
  BeginJournaled(1, 5);
  ASSERT_TRUE(router_.FromClient(2, wire::Cancel{1}.ToFrame(9)).ok());
  router_.GuestGone();
  EXPECT_EQ(wire::Exited::FromFrame(ToClient(2).at(0))->outcome, Outcome::kInterrupted);
}

TEST_F(CommandRouterTest, CommandsOfAVmHaveNoSequence) {
  router_.GuestReady("/bin/sh");
  Begin(1, 5);
  ASSERT_TRUE(router_.FromClient(2, wire::Cancel{1}.ToFrame(9)).ok());
  EXPECT_EQ(wire::ErrorFromFrame(ToClient(2).at(0)).code, ErrorCode::kNotFound);
}

TEST_F(CommandRouterTest, AVmHasNoJournal) {
  router_.GuestReady("/bin/sh");
  wire::Exec exec;
  exec.argv = {"true"};
  exec.cwd = "/";
  exec.journal = true;
  EXPECT_FALSE(router_.FromClient(1, exec.ToFrame(5)).ok());
}

class OpenStdinTest : public JournalRouterTest {
 protected:
  std::uint32_t BeginOpen(ClientId client, std::uint32_t channel) {
    wire::Exec exec;
    exec.argv = {"cat"};
    exec.cwd = "/";
    exec.journal = true;
    exec.open_stdin = true;
    EXPECT_TRUE(router_.FromClient(client, exec.ToFrame(channel)).ok());
    const auto frames = ToGuest();
    EXPECT_EQ(frames.size(), 1u);
    return frames.empty() ? 0 : frames.at(0).channel;
  }
  void Write(ClientId client, const std::string& bytes, bool close = false) {
    EXPECT_TRUE(router_.FromClient(client, wire::Write{1, bytes, close}.ToFrame(3)).ok());
  }
  // The one frame for the client.
  Frame Told(ClientId client) {
    const auto frames = ToClient(client);
    EXPECT_EQ(frames.size(), 1u);
    return frames.empty() ? Frame() : frames.at(0);
  }
};

TEST_F(OpenStdinTest, AnyClientWritesAndEndsAStdinThatItsOwnClientHasLeft) {
  const std::uint32_t channel = BeginOpen(1, 5);
  router_.ClientGone(1);
  EXPECT_TRUE(ToGuest().empty()) << "its stdin has ended";
  Write(2, "one");
  EXPECT_EQ(Told(2).type, FrameType::kWritten);
  router_.ClientGone(2);
  Write(3, "two", true);
  EXPECT_EQ(Told(3).type, FrameType::kWritten);
  const auto frames = ToGuest();
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].channel, channel);
  EXPECT_EQ(frames[0].payload, "one");
  EXPECT_EQ(frames[1].payload, "two");
  EXPECT_EQ(frames[2].type, FrameType::kEof);
  Write(4, "more");
  EXPECT_EQ(wire::ErrorFromFrame(Told(4)).code, ErrorCode::kWrongState);
  EXPECT_TRUE(ToGuest().empty());
}

TEST_F(OpenStdinTest, AClientThatDiesInTheMiddleOfItsInputEndsNothing) {
  BeginOpen(1, 5);
  ASSERT_TRUE(router_.FromClient(1, DataFrame(5, Stream::kStdin, 3)).ok());
  Write(2, "waits for the first");
  EXPECT_TRUE(ToClient(2).empty());
  router_.ClientGone(1);
  EXPECT_EQ(Told(2).type, FrameType::kWritten);
  const auto frames = ToGuest();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[1].payload, "waits for the first");
}

TEST_F(OpenStdinTest, AWriteWaitsUntilTheCommandReadsAndGoesInWhole) {
  const std::uint32_t channel = BeginOpen(1, 5);
  router_.ClientGone(1);
  const std::string piece(wire::kMaxDataBytes, 'x');
  for (int i = 0; i < 4; ++i) Write(2, piece);  // The whole window.
  EXPECT_EQ(ToClient(2).size(), 4u);
  ToGuest();
  Write(2, "ab");
  Write(3, "c");
  router_.ClientGone(2);  // Its bytes go with it, and none of them was passed on.
  EXPECT_TRUE(ToGuest().empty());
  EXPECT_TRUE(ToClient(3).empty());
  ASSERT_TRUE(router_.FromGuest(CreditFrame(channel, Stream::kStdin, 1)).ok());
  EXPECT_EQ(Told(3).type, FrameType::kWritten);
  EXPECT_EQ(ToGuest().at(0).payload, "c");
}

TEST_F(OpenStdinTest, AWriteThatWaitsIsToldOfTheCommandsEnd) {
  const std::uint32_t channel = BeginOpen(1, 5);
  router_.ClientGone(1);
  for (int i = 0; i < 5; ++i) Write(2, std::string(wire::kMaxDataBytes, 'x'));
  EXPECT_EQ(ToClient(2).size(), 4u);
  ASSERT_TRUE(router_.FromGuest(wire::Plain(FrameType::kStarted, channel)).ok());
  ASSERT_TRUE(Exit(channel).ok());
  EXPECT_EQ(wire::ErrorFromFrame(Told(2)).code, ErrorCode::kWrongState);
  Write(3, "late");
  EXPECT_EQ(wire::ErrorFromFrame(Told(3)).code, ErrorCode::kNotFound);
}

TEST_F(OpenStdinTest, OnlySoManyWritesWait) {
  BeginOpen(1, 5);
  for (ClientId client = 2; client < 18; ++client) Write(client, "x");
  EXPECT_TRUE(ToClient(17).empty());
  Write(18, "x");
  EXPECT_EQ(wire::ErrorFromFrame(Told(18)).code, ErrorCode::kLimit);
}

TEST_F(OpenStdinTest, AStdinThatWasNotKeptOpenTakesNoWrite) {
  BeginJournaled(1, 5);
  Write(2, "x");
  EXPECT_EQ(wire::ErrorFromFrame(Told(2)).code, ErrorCode::kWrongState);
  wire::Exec exec;
  exec.argv = {"cat"};
  exec.cwd = "/";
  exec.open_stdin = true;
  EXPECT_FALSE(router_.FromClient(1, exec.ToFrame(6)).ok()) << "without a journal";
}

TEST_F(JournalRouterTest, TheEndOfACommandGivenUpIsRecordedOnce) {
  const std::uint32_t channel = BeginJournaled(1, 5, 1000);
  timers_.Advance(std::chrono::seconds(11));
  EXPECT_EQ(ended_.at(1), Outcome::kTimedOut);
  ASSERT_TRUE(router_.FromGuest(DataFrame(channel, Stream::kStdout, 3)).ok());
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStdout)).ok());
  ASSERT_TRUE(router_.FromGuest(EofFrame(channel, Stream::kStderr)).ok());
  ASSERT_TRUE(router_.FromGuest(ExitedFrame(channel)).ok());
  EXPECT_EQ(ended_.at(1), Outcome::kTimedOut);
  EXPECT_TRUE(kept_.empty()) << "output after the end that was recorded";
}

}  // namespace
}  // namespace pyro::supervisor
