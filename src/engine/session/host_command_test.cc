// Sessions of processes of this host.

#include "engine/session/host_command.h"

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "engine/testing/session_peer.h"

namespace pyro::engine {
namespace {

HostCommand OnHost(const std::string& script,
                   std::chrono::milliseconds limit = std::chrono::minutes(1)) {
  sys::SpawnOptions spawn;
  spawn.argv = {"/bin/sh", "-c", script};
  auto command = HostCommand::Start(std::move(spawn), limit);
  PYRO_CHECK(command.ok());
  return std::move(*command);
}

// Takes everything, each time after a while.
class SlowSink : public OutputSink {
 public:
  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    // Bounds a test whose limit is not noticed.
    if (++writes_ > 20'000) return MakeError(ErrorCode::kUnavailable, "the limit was not noticed");
    taken += bytes.size();
    return bytes.size();
  }

  std::size_t taken = 0;

 private:
  int writes_ = 0;
};

TEST(HostCommandTest, ACommandOnTheHostGetsItsInputAndGivesItsOutputAndItsEnd) {
  constexpr std::size_t kTotal = 300 * 1024;
  sys::Pipe input = *sys::MakePipe();
  std::thread writer([&] {
    PYRO_CHECK(sys::WriteAll(input.write.get(), std::string(kTotal, 'i')).ok());
    input.write.Reset();
  });
  CallIo io;
  io.stdin_fd = input.read.get();
  TestSink sink;
  HostCommand command = OnHost("cat; echo err >&2; exit 6");
  CommandSession session(command, &sink, io);
  const Status status = session.Run();
  writer.join();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(sink.out.size(), kTotal);
  EXPECT_EQ(sink.err, "err\n");
  EXPECT_EQ(command.end().ExitCode(), 6);
  EXPECT_EQ(command.end().stdout_bytes, kTotal);
  EXPECT_EQ(command.end().stderr_bytes, 4u);
}

TEST(HostCommandTest, ACommandOnTheHostMayCloseItsInput) {
  sys::Pipe input = *sys::MakePipe();
  PYRO_CHECK(sys::WriteAll(input.write.get(), std::string(1024, 'i')).ok());
  CallIo io;
  io.stdin_fd = input.read.get();
  TestSink sink;
  HostCommand command = OnHost("exec <&-; echo done");
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(sink.out, "done\n");
}

TEST(HostCommandTest, InputForAStdinThatTheCommandHasClosedIsDropped) {
  Canceller canceller;
  HostCommand command = OnHost("exec <&-; echo closed; exec sleep 600");
  bool dropped = false;
  TestSink sink([&] {
    command.Input("too late");
    dropped = command.polls()[1].fd == -1 && command.input_room() == 0;
    canceller.Cancel();
    return OkStatus();
  });
  const CallIo io = canceller.Io();
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(dropped);
}

TEST(HostCommandTest, TheLimitOfACommandThatHasEndedWakesItsSessionNoMore) {
  const CallIo io;
  TestSink sink;
  HostCommand command = OnHost("echo done", std::chrono::milliseconds(60'000));
  EXPECT_NE(command.next_look().PollTimeout(), -1);
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_TRUE(status.ok()) << status.error().message;
  // A slow sink may take the output long after that.
  EXPECT_EQ(command.next_look().PollTimeout(), -1);
}

TEST(HostCommandTest, ACommandOnTheHostIsKilledAtItsLimit) {
  const CallIo io;
  TestSink sink;
  HostCommand command = OnHost("echo begun; exec sleep 600", std::chrono::milliseconds(100));
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(command.end().outcome, Outcome::kTimedOut);
}

TEST(HostCommandTest, TheLimitEndsACommandThatWritesFasterThanItsSinkTakes) {
  const CallIo io;
  SlowSink sink;
  HostCommand command = OnHost("exec yes", std::chrono::milliseconds(200));
  const Status status = CommandSession(command, &sink, io).Run();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(command.end().outcome, Outcome::kTimedOut);
  EXPECT_EQ(command.end().stdout_bytes, sink.taken);
}

TEST(HostCommandTest, ACommandOnTheHostEndsWithItsReaderOrItsCancellation) {
  Canceller canceller;
  const CallIo io = canceller.Io();
  for (const bool cancelled : {false, true}) {
    TestSink sink([&]() -> Status {
      if (!cancelled) return ReaderGone();
      canceller.Cancel();
      return OkStatus();
    });
    HostCommand command = OnHost("echo begun; exec sleep 600");
    const Status status = CommandSession(command, &sink, io).Run();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, cancelled ? ErrorCode::kCancelled : ErrorCode::kUnavailable);
  }
}

}  // namespace
}  // namespace pyro::engine
