// Sessions of commands that no journal keeps, with the test as their supervisor.

#include "engine/session/command_session.h"

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "engine/session/guest_command.h"
#include "engine/testing/session_peer.h"

namespace pyro::engine {
namespace {

using wire::Frame;
using wire::FrameType;

TEST(CommandSessionTest, APlainCommandGivesItsOutputAndItsEnd) {
  Peer peer([](Peer& self, const Frame& frame) {
    if (frame.type != FrameType::kEof) return;  // No stdin was given.
    self.Say(wire::Ready{}.ToFrame());
    self.SayData(OutputStream::kStdout, "out");
    self.SayData(OutputStream::kStderr, "err");
    self.SayData(OutputStream::kStdout, "put");
    self.SayExited(Outcome::kExited, 5);
  });
  SupervisorLink link = peer.Connect();
  const CallIo io;
  TestSink sink;
  PlainCommand command(link, TestExec(), io);
  CommandSession session(command, &sink, io);
  const Status status = session.Run();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(sink.out, "output");
  EXPECT_EQ(sink.err, "err");
  EXPECT_EQ(command.end().ExitCode(), 5);
  EXPECT_TRUE(command.began());
  EXPECT_NE(session.first_output_at(), SteadyTime{});
  EXPECT_EQ(peer.Count(FrameType::kExec), 1);
}

TEST(CommandSessionTest, AGuestGetsCreditOnlyForWhatASlowSinkHasTaken) {
  constexpr std::size_t kTotal = 1024 * 1024;
  const std::string chunk(16 * 1024, 'x');
  TestPipeSink sink;
  std::size_t sent = 0;
  std::size_t allowed = wire::kInitialCredit;
  const auto send = [&](Peer& self) {
    while (sent < kTotal && sent + chunk.size() <= allowed) {
      self.SayData(OutputStream::kStdout, chunk);
      sent += chunk.size();
    }
    if (sent == kTotal) self.SayExited();
  };
  std::size_t too_much = 0;
  Peer peer([&](Peer& self, const Frame& frame) {
    if (frame.type == FrameType::kCredit) {
      allowed += *DecodeCredit(frame);
      if (allowed - wire::kInitialCredit > sink.taken) ++too_much;
      if (sent < kTotal) send(self);
    }
    if (frame.type == FrameType::kExec) send(self);
  });
  std::string text;
  std::thread reader([&] { text = sink.ReadAll(); });
  Status status = OkStatus();
  {
    SupervisorLink link = peer.Connect();
    const CallIo io;
    PlainCommand command(link, TestExec(), io);
    status = CommandSession(command, &sink, io).Run();
  }
  sink.Close();
  reader.join();
  EXPECT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(text.size(), kTotal);
  EXPECT_EQ(too_much, 0u);
}

TEST(CommandSessionTest, StdinGoesAsFarAsTheGuestGivesCredit) {
  constexpr std::size_t kTotal = 400 * 1024;
  std::atomic<std::size_t> got = 0;
  std::size_t at_the_window = 0;
  Peer peer([&](Peer& self, const Frame& frame) {
    if (frame.type == FrameType::kData) {
      got += frame.payload.size();
      if (got == wire::kInitialCredit) {
        at_the_window = got;
        self.Say(wire::EncodeCredit(kTestChannel, wire::Stream::kStdin, kTotal));
      }
    }
    if (frame.type == FrameType::kEof) self.SayExited();
  });
  sys::Pipe input = *sys::MakePipe();
  std::thread writer([&] {
    PYRO_CHECK(sys::WriteAll(input.write.get(), std::string(kTotal, 'i')).ok());
    input.write.Reset();
  });
  Status status = OkStatus();
  {
    SupervisorLink link = peer.Connect();
    CallIo io;
    io.stdin_fd = input.read.get();
    TestSink sink;
    PlainCommand command(link, TestExec(), io);
    status = CommandSession(command, &sink, io).Run();
  }
  writer.join();
  EXPECT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(at_the_window, wire::kInitialCredit);
  EXPECT_EQ(got, kTotal);
}

TEST(CommandSessionTest, AnErrorOfTheSinkEndsAPlainCommandAtOnce) {
  Peer peer([](Peer& self, const Frame& frame) {
    if (frame.type == FrameType::kExec) self.SayData(OutputStream::kStdout, "x");
  });
  SupervisorLink link = peer.Connect();
  const CallIo io;
  TestSink sink(ReaderGone);
  PlainCommand command(link, TestExec(), io);
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "the reader is gone");
}

TEST(CommandSessionTest, ACancelledPlainCommandIsNotWaitedFor) {
  Peer peer([](Peer&, const Frame&) {});
  SupervisorLink link = peer.Connect();
  Canceller canceller;
  const CallIo io = canceller.Io();
  TestSink sink;
  PlainCommand command(link, TestExec(), io);
  canceller.Cancel();
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(command.began());
}

TEST(CommandSessionTest, AnEndThatComesBeforeTheGuestIsReadyCounts) {
  Peer peer([](Peer& self, const Frame& frame) {
    if (frame.type == FrameType::kExec) self.SayExited(Outcome::kNotStarted, ENOENT);
  });
  SupervisorLink link = peer.Connect();
  const CallIo io;
  TestSink sink;
  PlainCommand command(link, TestExec(), io);
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_FALSE(command.began());
  EXPECT_EQ(command.end().ExitCode(), 127);
}

TEST(CommandSessionTest, ALostLinkIsAnErrorUnlessTheEndCameBefore) {
  for (const bool told : {false, true}) {
    Peer peer([told](Peer& self, const Frame& frame) {
      if (frame.type != FrameType::kEof) return;
      if (told) self.SayExited(Outcome::kExited, 3);
      self.HangUp();
    });
    SupervisorLink link = peer.Connect();
    const CallIo io;
    TestSink sink;
    PlainCommand command(link, TestExec(), io);
    const Status status = CommandSession(command, &sink, io).Run();
    EXPECT_EQ(status.ok(), told);
    if (told) {
      EXPECT_EQ(command.end().ExitCode(), 3);
    } else {
      EXPECT_EQ(status.error().message, "the VM ended in the middle of the call");
    }
  }
}

TEST(CommandSessionTest, AGuestThatDiesOrIsStoppedIsUnavailable) {
  for (const bool dies : {false, true}) {
    Peer peer([dies](Peer& self, const Frame& frame) {
      if (frame.type != FrameType::kExec) return;
      if (dies) return self.SayExited(Outcome::kInterrupted);
      self.Say(wire::Plain(FrameType::kStopped));
    });
    SupervisorLink link = peer.Connect();
    const CallIo io;
    TestSink sink;
    PlainCommand command(link, TestExec(), io);
    const Status status = CommandSession(command, &sink, io).Run();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kGuestUnavailable);
    EXPECT_NE(status.error().message.find(dies ? "the guest died" : "was stopped"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace pyro::engine
