#include "wire/messages.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace pyro::wire {
namespace {

Frame WithBody(FrameType type, const Json& body) {
  Frame frame;
  frame.type = type;
  frame.payload = ToCbor(body);
  return frame;
}

TEST(MessagesTest, ExecKeepsEveryByteOfEveryWord) {
  Exec exec;
  exec.argv = {"printf", "%s|", "a b", "", "*", "it's", "\xff\xfe"};
  exec.env = {{"A", "1"}, {"B", ""}};
  exec.cwd = "/workspace";
  exec.timeout_ms = 3000;
  auto back = Exec::FromFrame(exec.ToFrame(5));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->argv, exec.argv);
  EXPECT_EQ(back->env, exec.env);
  EXPECT_EQ(back->cwd, exec.cwd);
  EXPECT_EQ(back->timeout_ms, exec.timeout_ms);
  EXPECT_EQ(exec.ToFrame(5).channel, 5u);
}

TEST(MessagesTest, ASupervisorThatKnowsOfNoUsersFindsNoWordsInTheExecOfOne) {
  Exec exec;
  exec.argv = {"id"};
  exec.cwd = "/";
  exec.user = "web:adm";
  const auto back = Exec::FromFrame(exec.ToFrame(5));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->user, "web:adm");
  EXPECT_EQ(back->argv, exec.argv);
  Json body = *DecodeObject(exec.ToFrame(5));
  EXPECT_FALSE(body.contains("argv"));
  body.erase("user");
  EXPECT_FALSE(Exec::FromFrame(WithBody(FrameType::kExec, body)).ok());
  exec.user = std::string(kMaxUserBytes + 1, 'x');
  EXPECT_FALSE(Exec::FromFrame(exec.ToFrame(5)).ok());
}

TEST(MessagesTest, AShellThatIsNotKnownIsRefused) {
  Ready ready;
  for (const std::string_view shell : kShells) {
    ready.shell = shell;
    EXPECT_TRUE(Ready::FromFrame(ready.ToFrame()).ok()) << shell;
  }
  for (const char* shell : {"", "bash", "/workspace/bash", "/bin/bash -x"}) {
    ready.shell = shell;
    EXPECT_FALSE(Ready::FromFrame(ready.ToFrame()).ok()) << shell;
  }
}

TEST(MessagesTest, WhatEarlierVersionsDoNotSendHasADefault) {
  const auto without = [](Frame frame, const char* key) {
    Json body = *DecodeObject(frame);
    EXPECT_EQ(body.erase(key), 1u) << key;
    frame.payload = ToCbor(body);
    return frame;
  };
  EXPECT_EQ(Ready::FromFrame(without(Ready{}.ToFrame(), "shell"))->shell, "/bin/sh");
  Exec exec;
  exec.argv = {"x"};
  exec.cwd = "/";
  exec.script = true;
  EXPECT_TRUE(Exec::FromFrame(exec.ToFrame(1))->script);
  EXPECT_FALSE(Exec::FromFrame(without(exec.ToFrame(1), "script"))->script);
  exec.sequence = 7;
  EXPECT_EQ(Exec::FromFrame(exec.ToFrame(1))->sequence, 7);
  EXPECT_EQ(Exec::FromFrame(without(exec.ToFrame(1), "sequence"))->sequence, 0);
  Exited exited;
  exited.output_left_open = true;
  EXPECT_TRUE(Exited::FromFrame(exited.ToFrame(1))->output_left_open);
  EXPECT_FALSE(Exited::FromFrame(without(exited.ToFrame(1), "output_left_open"))->output_left_open);
}

TEST(MessagesTest, ExecRefusesWhatCannotBeRun) {
  const Json good = {{"argv", {"x"}},   {"env", Json::object()}, {"cwd", "/"},
                     {"timeout_ms", 0}, {"sync", true},          {"journal", false}};
  ASSERT_TRUE(Exec::FromFrame(WithBody(FrameType::kExec, good)).ok());
  const std::vector<std::pair<const char*, Json>> changes = {
      {"argv", Json::array()},
      {"argv", "x"},
      {"argv", {1}},
      {"argv", {std::string("a\0b", 3)}},
      {"argv", {std::string(kMaxArgumentBytes, 'x')}},
      {"argv", std::vector<std::string>(kMaxArguments + 1, "x")},
      {"env", {{"A=B", "x"}}},
      {"env", {{"", "x"}}},
      {"env", {{"A", 1}}},
      {"cwd", "relative"},
      {"cwd", std::string("/\0x", 3)},
      {"timeout_ms", -1},
      {"timeout_ms", kMaxTimeoutMs + 1},
      {"timeout_ms", "1"},
  };
  for (const auto& [key, value] : changes) {
    Json bad = good;
    bad[key] = value;
    EXPECT_FALSE(Exec::FromFrame(WithBody(FrameType::kExec, bad)).ok()) << key;
  }
  for (const auto& [key, value] : good.items()) {
    Json bad = good;
    bad.erase(key);
    EXPECT_FALSE(Exec::FromFrame(WithBody(FrameType::kExec, bad)).ok()) << key;
  }
}

TEST(MessagesTest, SetupRoundTrip) {
  GuestSetup setup;
  setup.hostname = "pyro";
  setup.entropy = std::string(32, '\xfe');
  setup.wall_clock_ns = 1'700'000'000'000'000'000;
  setup.data_disk_bytes = std::int64_t{1} << 40;
  setup.workspace_user = "app:staff";
  setup.stop_signal = 37;
  setup.network = GuestNetwork{"52:54:00:00:00:01", "10.0.2.15", 24, "10.0.2.2", "10.0.2.3", 1400};
  auto back = GuestSetup::FromFrame(setup.ToFrame());
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->entropy, setup.entropy);
  EXPECT_EQ(back->network->prefix_length, 24);
  EXPECT_EQ(back->network->mtu, 1400);
  EXPECT_EQ(back->data_disk_bytes, std::int64_t{1} << 40);
  EXPECT_EQ(back->workspace_user, "app:staff");
  EXPECT_EQ(back->stop_signal, 37);
  setup.network.reset();
  EXPECT_FALSE(GuestSetup::FromFrame(setup.ToFrame())->network.has_value());
  setup.stop_signal = 65;
  EXPECT_FALSE(GuestSetup::FromFrame(setup.ToFrame()).ok());
  setup.stop_signal = 0;
  setup.workspace_user = std::string(kMaxUserBytes + 1, 'x');
  EXPECT_FALSE(GuestSetup::FromFrame(setup.ToFrame()).ok());
  setup.workspace_user.clear();
  setup.entropy = "short";
  EXPECT_FALSE(GuestSetup::FromFrame(setup.ToFrame()).ok());
}

TEST(MessagesTest, ExitedRoundTripAndRange) {
  Exited exited;
  exited.outcome = Outcome::kNotStarted;
  exited.code = 13;
  exited.stderr_bytes = 7;
  auto back = Exited::FromFrame(exited.ToFrame(1));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->outcome, Outcome::kNotStarted);
  EXPECT_EQ(back->code, 13);
  EXPECT_EQ(back->stderr_bytes, 7u);
  const Json bad = {{"outcome", "exited"},
                    {"code", 256},
                    {"duration_us", 0},
                    {"stdout_bytes", 0},
                    {"stderr_bytes", 0}};
  EXPECT_FALSE(Exited::FromFrame(WithBody(FrameType::kExited, bad)).ok());
}

TEST(MessagesTest, TheWireCallsAnInterruptedCommandLost) {
  Exited exited;
  exited.outcome = Outcome::kInterrupted;
  const Frame frame = exited.ToFrame(1);
  EXPECT_EQ((*DecodeObject(frame))["outcome"], "lost");
  EXPECT_EQ(Exited::FromFrame(frame)->outcome, Outcome::kInterrupted);
}

TEST(MessagesTest, CancelNamesACommand) {
  const Frame frame = Cancel{7}.ToFrame(3);
  EXPECT_EQ(frame.channel, 3u);
  EXPECT_EQ(Cancel::FromFrame(frame)->sequence, 7);
  EXPECT_FALSE(Cancel::FromFrame(Cancel{0}.ToFrame(3)).ok());
  EXPECT_FALSE(Cancel::FromFrame(WithBody(FrameType::kCancel, {{"sequence", "7"}})).ok());
}

TEST(MessagesTest, ErrorsTravelWhole) {
  const Error back =
      ErrorFromFrame(ErrorFrame(3, MakeError(ErrorCode::kNoSpace, "disk full", "free some")));
  EXPECT_EQ(back.code, ErrorCode::kNoSpace);
  EXPECT_EQ(back.message, "disk full");
  EXPECT_EQ(back.hint, "free some");
  const Json unknown = {{"code", 999}, {"message", "m"}, {"hint", ""}};
  EXPECT_EQ(ErrorFromFrame(WithBody(FrameType::kError, unknown)).code, ErrorCode::kInternal);
  EXPECT_EQ(ErrorFromFrame(WithBody(FrameType::kError, Json::object())).code, ErrorCode::kProtocol);
}

TEST(MessagesTest, APingAndItsAnswerHaveANumber) {
  EXPECT_EQ(Ping{7}.ToFrame().type, FrameType::kPing);
  EXPECT_EQ(Pong{7}.ToFrame().type, FrameType::kPong);
  EXPECT_EQ(Ping::FromFrame(Ping{7}.ToFrame())->number, 7);
  for (const Json& number : {Json(-1), Json("7"), Json()}) {
    EXPECT_FALSE(Ping::FromFrame(WithBody(FrameType::kPing, {{"number", number}})).ok());
    EXPECT_FALSE(Pong::FromFrame(WithBody(FrameType::kPong, {{"number", number}})).ok());
  }
}

TEST(MessagesTest, AnAnswerToAPingMayTellOfTheClock) {
  const auto told = Pong::FromFrame(Pong{7, INT64_MAX, true}.ToFrame());
  ASSERT_TRUE(told.ok());
  EXPECT_EQ(told->wall_clock_ns, INT64_MAX);
  EXPECT_TRUE(told->clock_was_set);
  const auto silent = Pong::FromFrame(WithBody(FrameType::kPong, {{"number", 7}}));
  ASSERT_TRUE(silent.ok());
  EXPECT_EQ(silent->wall_clock_ns, 0);
  for (const Json& time : {Json(-1), Json(0.5), Json("7")}) {
    EXPECT_FALSE(
        Pong::FromFrame(WithBody(FrameType::kPong, {{"number", 7}, {"wall_clock_ns", time}})).ok());
  }
}

TEST(MessagesTest, AClockIsMovedInBothDirections) {
  for (const std::int64_t by : {INT64_MAX, -INT64_MAX}) {
    const auto set = SetClock::FromFrame(SetClock{by, true}.ToFrame());
    ASSERT_TRUE(set.ok());
    EXPECT_EQ(set->by_ns, by);
    EXPECT_TRUE(set->slew);
  }
  for (const Json& by : {Json(INT64_MIN), Json(0.5), Json()}) {
    EXPECT_FALSE(
        SetClock::FromFrame(WithBody(FrameType::kSetClock, {{"by_ns", by}, {"slew", false}})).ok());
  }
}

TEST(MessagesTest, AClaimHasALease) {
  const auto back = Claim::FromFrame(Claim{.ttl_seconds = 600}.ToFrame());
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->ttl_seconds, 600);
  for (const Json& ttl : {Json(0), Json(-1), Json("600"), Json(std::int64_t{1} << 40), Json()}) {
    EXPECT_FALSE(
        Claim::FromFrame(WithBody(FrameType::kClaim, {{"ttl_seconds", ttl}, {"task", ""}})).ok());
  }
}

TEST(MessagesTest, AStopMayBeForSparesAlone) {
  EXPECT_TRUE(Stop::FromFrame(Stop{.remove = true, .only_spare = true}.ToFrame())->only_spare);
  // An earlier pyro does not say so.
  const auto earlier = Stop::FromFrame(WithBody(FrameType::kStop, {{"remove", true}}));
  ASSERT_TRUE(earlier.ok()) << earlier.error().message;
  EXPECT_FALSE(earlier->only_spare);
}

TEST(MessagesTest, AClaimMayBeForATask) {
  EXPECT_EQ(Claim::FromFrame(Claim{.ttl_seconds = 1, .task = "{}"}.ToFrame())->task, "{}");
  for (const Json& task : {Json(1), Json(), Json(std::string(65537, 'x'))}) {
    EXPECT_FALSE(
        Claim::FromFrame(WithBody(FrameType::kClaim, {{"ttl_seconds", 1}, {"task", task}})).ok());
  }
}

TEST(MessagesTest, AWriteKeepsEveryByteAndHasALimit) {
  Write write{.sequence = 3, .bytes = std::string("a\0\xff", 3), .close = true};
  const auto read = Write::FromFrame(write.ToFrame(5));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->sequence, 3);
  EXPECT_EQ(read->bytes, write.bytes);
  EXPECT_TRUE(read->close);
  write.bytes.assign(kMaxDataBytes + 1, 'x');
  EXPECT_FALSE(Write::FromFrame(write.ToFrame(5)).ok());
  write = {.sequence = 0, .bytes = "x"};
  EXPECT_FALSE(Write::FromFrame(write.ToFrame(5)).ok());
}

TEST(MessagesTest, ASupervisorThatEndsEveryStdinFindsNoWordsInTheExecOfAnOpenOne) {
  Exec exec;
  exec.argv = {"cat"};
  exec.cwd = "/";
  exec.user = "who";
  exec.open_stdin = true;
  const Json body = *DecodeObject(exec.ToFrame(1));
  EXPECT_FALSE(body.contains("argv"));
  EXPECT_FALSE(body.contains("user_argv"));
  EXPECT_EQ(Exec::FromFrame(exec.ToFrame(1))->argv, exec.argv);
}

TEST(MessagesTest, WhatAKillEndedHasALimit) {
  Exited exited;
  exited.outcome = Outcome::kCancelled;
  exited.killed = KilledTree{.processes = {{7, "a\xff"}}, .count = 40, .gone = true};
  auto read = Exited::FromFrame(exited.ToFrame(1));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->killed->processes.at(0).name, "a\xff");
  EXPECT_EQ(read->killed->count, 40);
  EXPECT_TRUE(read->killed->gone);
  exited.killed->processes.resize(kMaxKilledListed + 1, {7, "a"});
  EXPECT_FALSE(Exited::FromFrame(exited.ToFrame(1)).ok());
}

}  // namespace
}  // namespace pyro::wire
