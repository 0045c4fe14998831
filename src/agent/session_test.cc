#include "agent/session.h"

#include <cerrno>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace pyro::agent {
namespace {

using wire::Frame;
using wire::FrameType;
using wire::Stream;

class FakeGuest : public Guest {
 public:
  Status Setup(const wire::GuestSetup& setup) override {
    hostname = setup.hostname;
    return setup_result;
  }
  std::string Shell() override { return shell; }
  Status Start(std::uint32_t channel, const wire::Exec&) override {
    if (!start_result) return start_result;
    started.insert(channel);
    return OkStatus();
  }
  ClockReading ReadClock() override { return clock; }
  void MoveClock(const wire::SetClock& by) override { clock.wall_clock_ns += by.by_ns; }
  bool Kill(std::uint32_t channel) override {
    killed.insert(channel);
    return kill_result;
  }
  Status Ask(std::uint32_t channel, const wire::Ask& ask) override {
    if (ask.question != "known") return MakeError(ErrorCode::kNotFound, "not known");
    asked.insert(channel);
    return OkStatus();
  }

  std::string hostname;
  ClockReading clock;
  std::string shell = "/bin/sh";
  std::set<std::uint32_t> started;
  std::set<std::uint32_t> killed;
  std::set<std::uint32_t> asked;
  Status setup_result;
  Status start_result;
  bool kill_result = true;
};

class SessionTest : public ::testing::Test {
 protected:
  // The frames that the session has queued since the last call.
  std::vector<Frame> Sent() {
    wire::FrameDecoder decoder;
    decoder.Append(session_.outgoing().front());
    session_.outgoing().Clear();
    std::vector<Frame> frames;
    while (true) {
      auto frame = decoder.Next();
      if (!frame.ok() || !*frame) break;
      frames.push_back(std::move(**frame));
    }
    return frames;
  }

  void Receive(const Frame& frame) { session_.Receive(wire::EncodeFrame(frame)); }

  void Greet() { Receive(wire::Hello{wire::kProtocolVersion, "supervisor", "b1", ""}.ToFrame()); }

  void MakeReady() {
    Greet();
    wire::GuestSetup setup;
    setup.hostname = "h";
    setup.entropy = std::string(32, 'x');
    Receive(setup.ToFrame());
    ASSERT_EQ(Sent().back().type, FrameType::kReady);
  }

  void Start(std::uint32_t channel) {
    wire::Exec exec;
    exec.argv = {"x"};
    exec.cwd = "/";
    Receive(exec.ToFrame(channel));
  }

  void ExpectBreach() {
    EXPECT_TRUE(session_.over());
    const auto frames = Sent();
    ASSERT_FALSE(frames.empty());
    EXPECT_EQ(frames.back().type, FrameType::kError);
    EXPECT_EQ(frames.back().channel, 0u);
    EXPECT_EQ(wire::ErrorFromFrame(frames.back()).code, ErrorCode::kProtocol);
  }

  FakeGuest guest_;
  Session session_{guest_, "b1", "6.1"};
};

TEST_F(SessionTest, SaysHelloFirst) {
  session_.Begin();
  const auto frames = Sent();
  ASSERT_EQ(frames.size(), 1u);
  const auto hello = wire::Hello::FromFrame(frames[0]);
  ASSERT_TRUE(hello.ok());
  EXPECT_EQ(hello->role, "agent");
  EXPECT_EQ(hello->build, "b1");
  EXPECT_EQ(hello->kernel, "6.1");
}

TEST_F(SessionTest, RefusesAPeerThatIsNotItsSupervisor) {
  for (const wire::Hello& hello : {wire::Hello{wire::kProtocolVersion, "supervisor", "b2", ""},
                                   wire::Hello{wire::kProtocolVersion + 1, "supervisor", "b1", ""},
                                   wire::Hello{wire::kProtocolVersion, "client", "b1", ""}}) {
    Session session(guest_, "b1", "6.1");
    session.Receive(wire::EncodeFrame(hello.ToFrame()));
    EXPECT_TRUE(session.over());
    ASSERT_TRUE(session.failure().has_value());
    EXPECT_EQ(session.failure()->code, ErrorCode::kProtocol);
  }
}

TEST_F(SessionTest, AFailedSetupEndsTheSessionWithItsError) {
  guest_.setup_result = MakeError(ErrorCode::kNoSpace, "data disk: no space");
  Greet();
  wire::GuestSetup setup;
  setup.entropy = std::string(32, 'x');
  Receive(setup.ToFrame());
  const auto frames = Sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(wire::ErrorFromFrame(frames[0]).code, ErrorCode::kNoSpace);
  EXPECT_TRUE(session_.over());
}

TEST_F(SessionTest, TakesNoCommandBeforeSetup) {
  Greet();
  Start(1);
  const auto frames = Sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].channel, 1u);
  EXPECT_EQ(wire::ErrorFromFrame(frames[0]).code, ErrorCode::kWrongState);
  EXPECT_FALSE(session_.over());
  EXPECT_TRUE(guest_.started.empty());
}

TEST_F(SessionTest, ACommandFromStartToEndHoweverTheBytesArrive) {
  MakeReady();
  wire::Exec exec;
  exec.argv = {"cat"};
  exec.cwd = "/";
  const std::string bytes = wire::EncodeFrame(exec.ToFrame(7)) +
                            wire::EncodeData(7, Stream::kStdin, "hello") +
                            wire::EncodeEof(7, Stream::kStdin);
  for (const char byte : bytes) session_.Receive({&byte, 1});
  EXPECT_EQ(session_.Input(7), "hello");
  EXPECT_FALSE(session_.InputEnded(7));
  session_.InputTaken(7, 5);
  EXPECT_TRUE(session_.InputEnded(7));
  const auto room = session_.OutputRoom(7, Stream::kStdout);
  ASSERT_GE(room.bytes, 2u);
  room.data[0] = 'h';
  room.data[1] = 'i';
  session_.OutputRead(7, Stream::kStdout, 2);
  session_.OutputEnded(7, Stream::kStdout);
  session_.OutputEnded(7, Stream::kStdout);
  session_.OutputEnded(7, Stream::kStderr);
  session_.Ended(7, {false, 3}, 42);
  const auto frames = Sent();
  ASSERT_EQ(frames.size(), 5u);
  EXPECT_EQ(frames[0].type, FrameType::kStarted);
  EXPECT_EQ(frames[1].payload, "hi");
  EXPECT_EQ(frames[2].type, FrameType::kEof);
  EXPECT_EQ(frames[3].stream, Stream::kStderr);
  const auto exited = wire::Exited::FromFrame(frames[4]);
  ASSERT_TRUE(exited.ok());
  EXPECT_EQ(exited->outcome, Outcome::kExited);
  EXPECT_EQ(exited->code, 3);
  EXPECT_EQ(exited->duration_us, 42);
  EXPECT_EQ(exited->stdout_bytes, 2u);
}

TEST_F(SessionTest, TellsAProgramThatCannotRunFromAGuestThatCannotTry) {
  MakeReady();
  Error error = MakeError(ErrorCode::kNotFound, "run 'x': no such file");
  error.sys_errno = ENOENT;
  guest_.start_result = error;
  Start(1);
  auto frames = Sent();
  ASSERT_EQ(frames.size(), 1u);
  const auto exited = wire::Exited::FromFrame(frames[0]);
  ASSERT_TRUE(exited.ok());
  EXPECT_EQ(exited->outcome, Outcome::kNotStarted);
  EXPECT_EQ(exited->code, ENOENT);
  error = MakeError(ErrorCode::kUnavailable, "fork: try again");
  error.sys_errno = EAGAIN;
  guest_.start_result = error;
  Start(1);
  frames = Sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(wire::ErrorFromFrame(frames[0]).code, ErrorCode::kUnavailable);
}

TEST_F(SessionTest, RefusesAChannelInUseAndOneCommandTooMany) {
  MakeReady();
  for (std::uint32_t channel = 1; channel <= wire::kMaxChannels; ++channel) Start(channel);
  EXPECT_EQ(guest_.started.size(), wire::kMaxChannels);
  Sent();
  Start(5);
  EXPECT_EQ(wire::ErrorFromFrame(Sent().back()).code, ErrorCode::kAlreadyExists);
  Start(1000);
  EXPECT_EQ(wire::ErrorFromFrame(Sent().back()).code, ErrorCode::kLimit);
  EXPECT_EQ(guest_.started.size(), wire::kMaxChannels);
  session_.OutputEnded(5, Stream::kStdout);
  session_.OutputEnded(5, Stream::kStderr);
  session_.Ended(5, {}, 0);
  Start(1000);
  EXPECT_EQ(Sent().back().type, FrameType::kStarted);
}

TEST_F(SessionTest, AMalformedExecFailsOnlyItsChannel) {
  MakeReady();
  Frame frame;
  frame.type = FrameType::kExec;
  frame.channel = 3;
  frame.payload = "\xa0";
  Receive(frame);
  const auto frames = Sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].channel, 3u);
  EXPECT_EQ(wire::ErrorFromFrame(frames[0]).code, ErrorCode::kProtocol);
  EXPECT_FALSE(session_.over());
}

TEST_F(SessionTest, OutputNeverPassesItsCredit) {
  MakeReady();
  Start(1);
  std::size_t total = 0;
  while (true) {
    const auto room = session_.OutputRoom(1, Stream::kStdout);
    if (room.data == nullptr) break;
    ASSERT_LE(room.bytes, wire::kMaxDataBytes);
    session_.OutputRead(1, Stream::kStdout, room.bytes);
    total += room.bytes;
    Sent();
  }
  EXPECT_EQ(total, wire::kInitialCredit);
  EXPECT_TRUE(session_.HasRoom(1, Stream::kStderr));
  session_.Receive(wire::EncodeCredit(1, Stream::kStdout, 10));
  EXPECT_EQ(session_.OutputRoom(1, Stream::kStdout).bytes, 10u);
}

TEST_F(SessionTest, OutputWaitsWhileTheHostReadsNothing) {
  MakeReady();
  std::size_t queued = 0;
  for (std::uint32_t channel = 1; channel <= 100; ++channel) {
    Start(channel);
    const auto room = session_.OutputRoom(channel, Stream::kStdout);
    session_.OutputRead(channel, Stream::kStdout, room.bytes);
    queued = session_.outgoing().size();
  }
  EXPECT_LT(queued, 512u * 1024);
  EXPECT_FALSE(session_.HasRoom(1, Stream::kStderr));
  session_.outgoing().Clear();
  EXPECT_TRUE(session_.HasRoom(1, Stream::kStderr));
}

TEST_F(SessionTest, AHostThatOnlyAsksIsNotReadFromForEver) {
  MakeReady();
  int asked = 0;
  while (session_.MayReceive() && asked < 1'000'000) {
    Start(0x10000);
    guest_.started.clear();
    ++asked;
  }
  EXPECT_LT(asked, 1'000'000);
}

TEST_F(SessionTest, CreditComesBackForInputTakenRefusedAndLate) {
  MakeReady();
  Start(1);
  Sent();
  const std::string chunk(wire::kMaxDataBytes, 'x');
  for (int i = 0; i < 4; ++i) session_.Receive(wire::EncodeData(1, Stream::kStdin, chunk));
  EXPECT_TRUE(Sent().empty());
  session_.InputTaken(1, wire::kInitialCredit / 2);
  auto frames = Sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(*wire::DecodeCredit(frames[0]), wire::kInitialCredit / 2);
  session_.InputRefused(1);
  ASSERT_EQ(Sent().size(), 1u);
  EXPECT_EQ(session_.Input(1), "");
  for (int i = 0; i < 4; ++i) session_.Receive(wire::EncodeData(1, Stream::kStdin, chunk));
  EXPECT_EQ(Sent().size(), 2u);
  EXPECT_EQ(session_.Input(1), "");
  EXPECT_FALSE(session_.over());
}

TEST_F(SessionTest, InputBeyondItsCreditIsABreach) {
  MakeReady();
  Start(1);
  const std::string chunk(wire::kMaxDataBytes, 'x');
  for (int i = 0; i < 4; ++i) session_.Receive(wire::EncodeData(1, Stream::kStdin, chunk));
  EXPECT_FALSE(session_.over());
  session_.Receive(wire::EncodeData(1, Stream::kStdin, "x"));
  ExpectBreach();
}

TEST_F(SessionTest, AKillGivesTheReasonUnlessTheCommandCameFirst) {
  MakeReady();
  for (const bool in_time : {true, false}) {
    guest_.kill_result = in_time;
    Start(1);
    Receive(wire::Kill{wire::KillReason::kTimedOut}.ToFrame(1));
    Receive(wire::Kill{wire::KillReason::kCancelled}.ToFrame(1));
    session_.OutputEnded(1, Stream::kStdout);
    session_.OutputEnded(1, Stream::kStderr);
    session_.Ended(1, {true, 9}, 0);
    const auto exited = wire::Exited::FromFrame(Sent().back());
    ASSERT_TRUE(exited.ok());
    EXPECT_EQ(exited->outcome, in_time ? Outcome::kTimedOut : Outcome::kSignalled);
  }
}

TEST_F(SessionTest, WhatCrossedTheEndOfACommandIsIgnored) {
  MakeReady();
  session_.Receive(wire::EncodeData(9, Stream::kStdin, "late"));
  session_.Receive(wire::EncodeEof(9, Stream::kStdin));
  session_.Receive(wire::EncodeCredit(9, Stream::kStdout, 5));
  Receive(wire::Kill{}.ToFrame(9));
  EXPECT_FALSE(session_.over());
  EXPECT_TRUE(guest_.killed.empty());
  EXPECT_TRUE(Sent().empty());
}

TEST_F(SessionTest, EveryBreachIsRefused) {
  Frame bad_credit;
  bad_credit.type = FrameType::kCredit;
  bad_credit.stream = Stream::kStdout;
  bad_credit.channel = 1;
  bad_credit.payload = std::string(4, '\0');
  Frame not_cbor;
  not_cbor.type = FrameType::kKill;
  not_cbor.channel = 1;
  not_cbor.payload = "\xff";
  wire::GuestSetup setup;
  setup.entropy = std::string(32, 'x');
  wire::Exec exec;
  exec.argv = {"x"};
  exec.cwd = "/";
  const std::string cases[] = {
      wire::EncodeFrame(wire::Hello{wire::kProtocolVersion, "supervisor", "b1", ""}.ToFrame()),
      wire::EncodeFrame(setup.ToFrame()),
      wire::EncodeFrame(exec.ToFrame(0)),
      wire::EncodeData(1, Stream::kStdout, "x"),
      wire::EncodeEof(1, Stream::kStderr),
      wire::EncodeCredit(1, Stream::kStdin, 1),
      wire::EncodeCredit(1, Stream::kStdout, UINT32_MAX),
      wire::EncodeEof(1, Stream::kStdin) + wire::EncodeData(1, Stream::kStdin, "x"),
      wire::EncodeFrame(bad_credit),
      wire::EncodeFrame(not_cbor),
      wire::EncodeFrame(wire::Plain(FrameType::kStarted, 1)),
      wire::EncodeFrame(wire::Plain(FrameType::kStop)),
      std::string(12, '\xff'),
  };
  for (const std::string& bytes : cases) {
    Session session(guest_, "b1", "6.1");
    session.Receive(
        wire::EncodeFrame(wire::Hello{wire::kProtocolVersion, "supervisor", "b1", ""}.ToFrame()));
    session.Receive(wire::EncodeFrame(setup.ToFrame()));
    session.Receive(wire::EncodeFrame(exec.ToFrame(1)));
    ASSERT_FALSE(session.over());
    session.Receive(bytes);
    EXPECT_TRUE(session.failure().has_value()) << ::testing::PrintToString(bytes);
    EXPECT_TRUE(session.over());
  }
}

TEST_F(SessionTest, APingIsAnsweredFromTheFirstMomentOn) {
  Greet();
  (void)Sent();
  Receive(wire::Ping{7}.ToFrame());
  const auto frames = Sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].type, FrameType::kPong);
  EXPECT_EQ(wire::Pong::FromFrame(frames[0])->number, 7);
}

TEST_F(SessionTest, TheAnswerTellsWhatTheClockShowsAndThatAProgramHasSetIt) {
  MakeReady();
  (void)Sent();
  guest_.clock = {123, true};
  Receive(wire::Ping{7}.ToFrame());
  const auto told = wire::Pong::FromFrame(Sent().at(0));
  EXPECT_EQ(told->wall_clock_ns, 123);
  EXPECT_TRUE(told->clock_was_set);
}

TEST_F(SessionTest, TheClockIsMovedInAGuestThatIsReadyAndInNoOther) {
  MakeReady();
  (void)Sent();
  guest_.clock = {123, false};
  Receive(wire::SetClock{-23}.ToFrame());
  EXPECT_FALSE(session_.over());
  EXPECT_EQ(guest_.clock.wall_clock_ns, 100);
  EXPECT_TRUE(Sent().empty());
}

TEST_F(SessionTest, TheClockOfAGuestThatIsNotSetUpIsABreach) {
  Greet();
  Receive(wire::SetClock{123}.ToFrame());
  ExpectBreach();
}

TEST_F(SessionTest, AQuestionIsGivenToTheGuestAndItsAnswerToTheHost) {
  MakeReady();
  Receive(wire::Ask{"known"}.ToFrame(4));
  EXPECT_EQ(guest_.asked, std::set<std::uint32_t>{4});
  EXPECT_TRUE(Sent().empty());
  session_.Answer(
      wire::Frame{.type = FrameType::kAnswer, .channel = 4, .payload = ToCbor({{"text", "so"}})});
  const auto frames = Sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].type, FrameType::kAnswer);
  EXPECT_EQ(frames[0].channel, 4u);
  // One that cannot be answered fails only its channel.
  Receive(wire::Ask{"other"}.ToFrame(5));
  Receive(wire::Frame{.type = FrameType::kAsk, .channel = 6, .payload = ToCbor({{"question", 7}})});
  const auto refused = Sent();
  ASSERT_EQ(refused.size(), 2u);
  EXPECT_EQ(wire::ErrorFromFrame(refused[0]).code, ErrorCode::kNotFound);
  EXPECT_EQ(refused[1].channel, 6u);
  EXPECT_EQ(wire::ErrorFromFrame(refused[1]).code, ErrorCode::kProtocol);
  EXPECT_FALSE(session_.over());
}

TEST_F(SessionTest, AQuestionBeforeTheSetupIsABreach) {
  Greet();
  Receive(wire::Ask{"known"}.ToFrame(4));
  ExpectBreach();
}

TEST_F(SessionTest, PowerOffEndsItWithoutAnError) {
  MakeReady();
  Receive(wire::Plain(FrameType::kPowerOff));
  EXPECT_TRUE(session_.over());
  EXPECT_FALSE(session_.failure().has_value());
  Start(1);
  EXPECT_TRUE(guest_.started.empty());
}

}  // namespace
}  // namespace pyro::agent
