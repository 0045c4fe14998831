// Sessions of a task's commands, with the test as their supervisor.

#include "engine/session/journaled_command.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string_view>

#include <gtest/gtest.h>

#include "engine/testing/session_peer.h"
#include "state/journal/journal.h"

namespace pyro::engine {
namespace {

using wire::Frame;
using wire::FrameType;

// A task's directory, and its supervisor's part of the journal.
class TaskFixture {
 public:
  const std::filesystem::path& path() const { return directory_.path(); }

  void Accept(Peer& peer) {
    writer_.emplace(*state::JournalWriter::Open(path(), 7, budget_));
    peer.Say(wire::Ready{}.ToFrame());
    peer.Say(wire::Accepted{7}.ToFrame(kTestChannel));
  }
  void Append(OutputStream stream, std::string_view bytes) { writer_->Append(stream, bytes); }

 private:
  sys::TestDirectory directory_;
  state::OutputBudget budget_{0};
  std::optional<state::JournalWriter> writer_;
};

TEST(JournaledCommandTest, AJournaledCommandGivesItsOutputFromTheFiles) {
  TaskFixture task;
  Peer peer([&](Peer& self, const Frame& frame) {
    if (frame.type != FrameType::kExec) return;
    task.Accept(self);
    task.Append(OutputStream::kStdout, "out");
    task.Append(OutputStream::kStderr, "err");
    self.SayExited(Outcome::kExited, 4);
  });
  SupervisorLink link = peer.Connect();
  const CallIo io;
  TestSink sink;
  JournaledCommand command(link, TestExec(true), task.path(), io);
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(command.sequence(), 7);
  EXPECT_EQ(sink.out, "out");
  EXPECT_EQ(sink.err, "err");
  EXPECT_EQ(command.end().ExitCode(), 4);
}

// A journaled command that is cancelled, with its first words or before.
void ExpectKilledAndRecorded(bool accepted) {
  TaskFixture task;
  Canceller canceller;
  Peer peer([&](Peer& self, const Frame& frame) {
    if (frame.type == FrameType::kExec && accepted) {
      task.Accept(self);
      task.Append(OutputStream::kStdout, "first");
    }
    if (frame.type == FrameType::kKill) {
      if (accepted) task.Append(OutputStream::kStdout, ", last");
      self.SayExited(Outcome::kCancelled);
    }
  });
  SupervisorLink link = peer.Connect();
  const CallIo io = canceller.Io();
  TestSink sink([&] {
    canceller.Cancel();
    return OkStatus();
  });
  JournaledCommand command(link, TestExec(true), task.path(), io);
  if (!accepted) canceller.Cancel();
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(command.over());
  EXPECT_EQ(peer.Count(FrameType::kKill), 1);
  EXPECT_EQ(sink.out, accepted ? "first, last" : "");
}

TEST(JournaledCommandTest, ACancelledJournaledCommandIsKilledAndItsEndAwaited) {
  ExpectKilledAndRecorded(true);
}

TEST(JournaledCommandTest, AJournaledCommandCanBeCancelledBeforeItIsRecorded) {
  ExpectKilledAndRecorded(false);
}

TEST(JournaledCommandTest, AnErrorOfTheSinkKillsAJournaledCommandAndAwaitsItsEnd) {
  TaskFixture task;
  Peer peer([&](Peer& self, const Frame& frame) {
    if (frame.type == FrameType::kExec) {
      task.Accept(self);
      task.Append(OutputStream::kStdout, "first");
    }
    if (frame.type == FrameType::kKill) self.SayExited(Outcome::kCancelled);
  });
  SupervisorLink link = peer.Connect();
  const CallIo io;
  TestSink sink(ReaderGone);
  JournaledCommand command(link, TestExec(true), task.path(), io);
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "the reader is gone");
  EXPECT_EQ(peer.Count(FrameType::kKill), 1);
  EXPECT_EQ(command.end().outcome, Outcome::kCancelled);
}

TEST(JournaledCommandTest, AJournaledCommandThatLosesItsLinkPointsToItsRecord) {
  TaskFixture task;
  Peer peer([&](Peer& self, const Frame& frame) {
    if (frame.type != FrameType::kEof) return;
    task.Accept(self);
    self.HangUp();
  });
  SupervisorLink link = peer.Connect();
  const CallIo io;
  TestSink sink;
  JournaledCommand command(link, TestExec(true), task.path(), io);
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_NE(status.error().hint.find("pyro task logs"), std::string::npos);
}

TEST(JournaledCommandTest, ACommandInTheBackgroundIsLeftOnceItIsRecorded) {
  Peer peer([](Peer& self, const Frame& frame) {
    if (frame.type != FrameType::kExec) return;
    self.Say(wire::Ready{}.ToFrame());
    self.Say(wire::Accepted{9}.ToFrame(kTestChannel));
  });
  SupervisorLink link = peer.Connect();
  const CallIo io;
  BackgroundCommand command(link, TestExec(true), io);
  const Status status = CommandSession(command, nullptr, io).Run();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(command.sequence(), 9);
  EXPECT_EQ(peer.Count(FrameType::kKill), 0);
}

TEST(JournaledCommandTest, ACommandInTheBackgroundThatIsCancelledIsKilledAndNotWaitedFor) {
  std::atomic<bool> killed = false;
  Status status = OkStatus();
  {
    Peer peer(
        [&](Peer&, const Frame& frame) { killed = killed || frame.type == FrameType::kKill; });
    SupervisorLink link = peer.Connect();
    Canceller canceller;
    const CallIo io = canceller.Io();
    BackgroundCommand command(link, TestExec(true), io);
    canceller.Cancel();
    status = CommandSession(command, nullptr, io).Run();
  }
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(killed);
}

TEST(JournaledCommandTest, AGuestThatGoesBeforeACommandBeganSaysSo) {
  Peer peer([](Peer& self, const Frame& frame) {
    if (frame.type == FrameType::kExec) self.Say(wire::Plain(FrameType::kStopped));
  });
  SupervisorLink link = peer.Connect();
  const CallIo io;
  BackgroundCommand command(link, TestExec(true), io);
  const Status status = CommandSession(command, nullptr, io).Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "the task's guest went away before the command began");
}

TEST(JournaledCommandTest, AKillerNamesTheSequenceAndAwaitsAnyEnd) {
  std::int64_t asked = 0;
  Peer peer([&](Peer& self, const Frame& frame) {
    asked = wire::Cancel::FromFrame(frame)->sequence;
    self.SayExited(Outcome::kInterrupted);
  });
  SupervisorLink link = peer.Connect();
  const CallIo io;
  CommandKiller killer(link, 12, io);
  const Status status = CommandSession(killer, nullptr, io).Run();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(asked, 12);
  EXPECT_EQ(peer.Count(FrameType::kEof), 0);
}

TEST(JournaledCommandTest, AKillerReportsTheErrorOfTheSupervisor) {
  Peer peer([](Peer& self, const Frame&) {
    self.Say(wire::ErrorFrame(kTestChannel, MakeError(ErrorCode::kNotFound, "it does not run")));
  });
  SupervisorLink link = peer.Connect();
  const CallIo io;
  CommandKiller killer(link, 12, io);
  const Status status = CommandSession(killer, nullptr, io).Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
}

// Of the wait for a supervisor that says nothing. It began between `before` and now.
void ExpectLimit(GuestCommand& command, SteadyTime before, std::chrono::seconds limit) {
  const RunningCommand::Polls nothing = {{{-1, 0, 0}, {-1, 0, 0}}};
  EXPECT_TRUE(command.Advance(nothing, before + limit - std::chrono::nanoseconds(1)).ok());
  EXPECT_FALSE(command.over());
  const SteadyTime now = std::chrono::steady_clock::now();
  EXPECT_LE(command.next_look().at(), now + limit);
  const Status status = command.Advance(nothing, now + limit);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kTimedOut);
}

TEST(JournaledCommandTest, ASupervisorHas20SecondsToRecordTheEndOfAKilledCommand) {
  TaskFixture task;
  Peer peer([](Peer&, const Frame&) {});
  SupervisorLink link = peer.Connect();
  const CallIo io;
  JournaledCommand command(link, TestExec(true), task.path(), io);
  EXPECT_EQ(command.next_look().PollTimeout(), -1);
  const SteadyTime before = std::chrono::steady_clock::now();
  ASSERT_TRUE(command.Kill());
  ExpectLimit(command, before, std::chrono::seconds(20));
}

TEST(JournaledCommandTest, ASupervisorHas180SecondsToRecordACommandThatGoesToTheBackground) {
  Peer peer([](Peer&, const Frame&) {});
  SupervisorLink link = peer.Connect();
  const CallIo io;
  const SteadyTime before = std::chrono::steady_clock::now();
  BackgroundCommand command(link, TestExec(true), io);
  ExpectLimit(command, before, std::chrono::seconds(180));
}

TEST(JournaledCommandTest, ASupervisorHas30SecondsToTellTheEndOfACommandThatIsKilledByItsNumber) {
  Peer peer([](Peer&, const Frame&) {});
  SupervisorLink link = peer.Connect();
  const CallIo io;
  const SteadyTime before = std::chrono::steady_clock::now();
  CommandKiller killer(link, 12, io);
  ExpectLimit(killer, before, std::chrono::seconds(30));
}

}  // namespace
}  // namespace pyro::engine
