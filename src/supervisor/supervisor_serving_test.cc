// Clients, commands and the lease of a guest that takes commands.

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "supervisor/testing/supervisor_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

class SupervisorServingTest : public SupervisorFixture {};

TEST_F(SupervisorServingTest, TwoClientsRunCommandsOnChannelsOfTheirOwn) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& first = Client();
  FramePeer& second = Client();
  first.Take();
  second.Take();
  first.Send(Exec(7, "one"));
  second.Send(Exec(7, "two"));
  Run();
  const Frames asked = Agent().Take();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(wire::Exec::FromFrame(asked[0])->argv[0], "one");
  EXPECT_EQ(wire::Exec::FromFrame(asked[1])->argv[0], "two");
  AgentEnds(asked[1].channel, 4);
  EXPECT_FALSE(Has(first.Take(), Type::kExited));
  const Frames told = second.Take();
  const wire::Frame* exited = Find(told, Type::kExited);
  ASSERT_NE(exited, nullptr);
  EXPECT_EQ(exited->channel, 7u);
  EXPECT_EQ(wire::Exited::FromFrame(*exited)->code, 4);
}

TEST_F(SupervisorServingTest, RulesOfTheNetworkComeFromTheRecordWhenAClientSaysSo) {
  record_.network_rules_now = "allow registry.example:443\n";
  ASSERT_NO_FATAL_FAILURE(Begin());  // Also while the guest starts.
  FramePeer& client = Client();
  client.Send(wire::Plain(Type::kNetRules));
  Run();
  EXPECT_TRUE(Has(client.Take(), Type::kNetRuled));
  record_.network_rules_now = "allow not/a/host\n";
  client.Send(wire::Plain(Type::kNetRules));
  Run();
  const Frames told = client.Take();
  EXPECT_FALSE(Has(told, Type::kNetRuled));
  EXPECT_NE(ErrorIn(told).find("not/a/host"), std::string::npos) << ErrorIn(told);
}

TEST_F(SupervisorServingTest, CommandsWaitUntilTheGuestIsReady) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  client.Send(Exec(1, "early"));
  Run();
  AgentGreets();
  EXPECT_FALSE(Has(Agent().Take(), Type::kExec));
  AgentIsReady();
  EXPECT_TRUE(Has(Agent().Take(), Type::kExec));
}

TEST_F(SupervisorServingTest, AClientThatBrokeTheRulesEarlyIsRefusedWhenTheGuestIsReady) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  FramePeer& other = Client();
  client.Send(Exec(1, "one"));
  client.Send(Exec(1, "the same channel"));
  Run();
  AgentGreets();
  AgentIsReady();
  EXPECT_EQ(ErrorIn(client.Take()), "protocol violated");
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(Has(other.Take(), Type::kReady));
}

TEST_F(SupervisorServingTest, AClientMustGreetFirstAndSpeakThisProtocol) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& rude = Connect();
  rude.Send(Exec(1, "one"));
  Run();
  EXPECT_EQ(ErrorIn(rude.Take()), "the first frame is not a hello");
  FramePeer& newer = Connect();
  wire::Hello hello;
  hello.role = "client";
  hello.protocol = wire::kProtocolVersion + 1;
  newer.Send(hello.ToFrame());
  Run();
  EXPECT_NE(ErrorIn(newer.Take()).find("its client 2"), std::string::npos);
  EXPECT_TRUE(newer.ended());
  EXPECT_EQ(ends_, 0);
}

TEST_F(SupervisorServingTest, ACommandIsKilledWhenItsTimeIsOver) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(Exec(1, "long", false, 5000));
  Run();
  const std::uint32_t channel = Agent().Take().at(0).channel;
  Pass(4999ms);
  EXPECT_FALSE(Has(Agent().Take(), Type::kKill));
  Pass(1ms);
  const Frames asked = Agent().Take();
  const wire::Frame* kill = Find(asked, Type::kKill);
  ASSERT_NE(kill, nullptr);
  EXPECT_EQ(wire::Kill::FromFrame(*kill)->reason, wire::KillReason::kTimedOut);
  AgentEnds(channel, 0, Outcome::kTimedOut);
  EXPECT_TRUE(Has(client.Take(), Type::kExited));
  Pass(60s);  // Nothing of it waits any more.
  EXPECT_EQ(ends_, 0);
}

TEST_F(SupervisorServingTest, ACommandThatEndsInTimeIsNotKilled) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(Exec(1, "short", false, 5000));
  Run();
  AgentEnds(Agent().Take().at(0).channel);
  Pass(10s);
  EXPECT_FALSE(Has(Agent().Take(), Type::kKill));
}

// --- The journal

TEST_F(SupervisorServingTest, AJournaledCommandIsRecordedBeforeItRunsAndToldAfterItsEndIs) {
  record_.keeps_journal = true;
  config_.kind = wire::GuestKind::kTask;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Take();
  client.Send(Exec(3, "kept", true));
  Run();
  Frames told = client.Take();
  const wire::Frame* accepted = Find(told, Type::kAccepted);
  ASSERT_NE(accepted, nullptr);
  EXPECT_EQ(wire::Accepted::FromFrame(*accepted)->sequence, 1);
  const wire::Frame asked = Agent().Take().at(0);
  EXPECT_TRUE(wire::Exec::FromFrame(asked)->sync);
  Agent().Send(wire::Plain(Type::kStarted, asked.channel));
  Agent().SendBytes(wire::EncodeData(asked.channel, wire::Stream::kStdout, "text"));
  Agent().SendBytes(wire::EncodeEof(asked.channel, wire::Stream::kStdout));
  Agent().SendBytes(wire::EncodeEof(asked.channel, wire::Stream::kStderr));
  AgentSays(wire::Exited{}.ToFrame(asked.channel));
  EXPECT_EQ(record_.Count("begin kept"), 1);
  EXPECT_EQ(record_.Count("append 1 text"), 1);
  EXPECT_EQ(record_.Count("end 1 exited"), 1);
  told = client.Take();
  EXPECT_FALSE(Has(told, Type::kData));  // It is in the files.
  EXPECT_TRUE(Has(told, Type::kExited));
}

TEST_F(SupervisorServingTest, ACommandThatCannotBeRecordedDoesNotRun) {
  record_.keeps_journal = true;
  record_.refuses = MakeError(ErrorCode::kNoSpace, "the disk is full");
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(Exec(3, "kept", true));
  Run();
  EXPECT_EQ(ErrorIn(client.Take()), "the disk is full");
  EXPECT_TRUE(Agent().Take().empty());
}

TEST_F(SupervisorServingTest, WhatAFullDiskRefusedIsTriedAgainEverySecond) {
  record_.keeps_journal = true;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(Exec(3, "kept", true));
  Run();
  const std::uint32_t channel = Agent().Take().at(0).channel;
  record_.full = true;
  Agent().Send(wire::Plain(Type::kStarted, channel));
  Agent().SendBytes(wire::EncodeData(channel, wire::Stream::kStdout, "a"));
  Run();
  Agent().SendBytes(wire::EncodeData(channel, wire::Stream::kStdout, "b"));
  Run();
  Pass(3s);
  EXPECT_EQ(record_.Count("settle"), 3);
  record_.full = false;
  Pass(10s);
  EXPECT_EQ(record_.Count("settle"), 4);
}

TEST_F(SupervisorServingTest, AJournaledCommandGoesOnWithoutItsClientAndCanBeCancelledByAnother) {
  record_.keeps_journal = true;
  config_.kind = wire::GuestKind::kTask;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(Exec(3, "kept", true));
  Run();
  const std::uint32_t channel = Agent().Take().at(0).channel;
  HangUp(client);
  const Frames asked = Agent().Take();
  EXPECT_TRUE(Has(asked, Type::kEof));  // Of its stdin.
  EXPECT_FALSE(Has(asked, Type::kKill));
  FramePeer& other = Client();
  other.Send(wire::Cancel{1}.ToFrame(9));
  Run();
  EXPECT_TRUE(Has(Agent().Take(), Type::kKill));
  AgentEnds(channel, 0, Outcome::kCancelled);
  const Frames told = other.Take();
  const wire::Frame* exited = Find(told, Type::kExited);
  ASSERT_NE(exited, nullptr);
  EXPECT_EQ(exited->channel, 9u);
  EXPECT_EQ(record_.Count("end 1 cancelled"), 1);
}

TEST_F(SupervisorServingTest, APlainCommandIsKilledWhenItsClientLeaves) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(Exec(3, "plain"));
  Run();
  Agent().Take();
  HangUp(client);
  EXPECT_TRUE(Has(Agent().Take(), Type::kKill));
  EXPECT_EQ(ends_, 0);
}

// --- The lease

TEST_F(SupervisorServingTest, AVmIsRemovedWhenItsLeaseIsOver) {
  config_.ttl = 60s;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Take();
  Pass(59s);
  EXPECT_EQ(ends_, 0);
  Pass(1s);
  EXPECT_EQ(record_.notes.back(), "removed");
  EXPECT_TRUE(Guest().ended());
  EXPECT_TRUE(Has(client.Take(), Type::kStopped));
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(ends_, 1);
  EXPECT_TRUE(Over());
}

TEST_F(SupervisorServingTest, ATaskIsStoppedWhenItsLeaseIsOver) {
  config_.kind = wire::GuestKind::kTask;
  config_.ttl = 60s;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  Pass(60s);
  EXPECT_TRUE(Has(Agent().Take(), Type::kPowerOff));
  vmm::FakeGuest guest = Guest();
  guest.End(vmm::MachineEnd::kPoweredOff);
  Run();
  EXPECT_EQ(record_.notes.back(), "stopped");
  EXPECT_TRUE(Over());
}

TEST_F(SupervisorServingTest, TheLeaseBeginsAgainWithEachUseAndDoesNotEndARunningCommand) {
  config_.ttl = 60s;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  Pass(50s);
  client.Send(Exec(1, "long"));
  Run();
  EXPECT_EQ(record_.Count("renewed"), 1);
  const Frames asked = Agent().Take();
  const std::uint32_t channel = Find(asked, Type::kExec)->channel;
  AgentBegins(channel);
  Pass(200s);
  EXPECT_EQ(ends_, 0);
  AgentEnds(channel, 0, Outcome::kExited, true);
  Pass(59s);
  EXPECT_EQ(ends_, 0);
  Pass(1s);
  EXPECT_EQ(ends_, 1);
}

TEST_F(SupervisorServingTest, AVmOutlivesTheClientThatStartedIt) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  AgentGreets();
  AgentIsReady();
  HangUp(client);
  EXPECT_EQ(ends_, 0);
  EXPECT_TRUE(Has(Client().Take(), Type::kReady));
}

TEST_F(SupervisorServingTest, TheVmOfARunEndsWithItsOwnerThoughAnotherClientIsConnected) {
  config_.dies_with_first_client = true;
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& owner = Client();
  FramePeer& other = Client();
  AgentGreets();
  AgentIsReady();
  HangUp(other);
  EXPECT_EQ(ends_, 0);
  HangUp(owner);
  EXPECT_EQ(record_.notes.back(), "removed");
  EXPECT_EQ(ends_, 1);
}

TEST_F(SupervisorServingTest, TheVmOfARunWhoseOwnerNeverComesIsRemovedAfterThirtySeconds) {
  config_.dies_with_first_client = true;
  ASSERT_NO_FATAL_FAILURE(Begin());
  Pass(29s);
  EXPECT_EQ(ends_, 0);
  Pass(1s);
  EXPECT_EQ(record_.notes.back(), "removed");
  EXPECT_EQ(ends_, 1);
}

TEST_F(SupervisorServingTest, ATaskThatIsStillBeingMadeEndsWithItsMaker) {
  config_.kind = wire::GuestKind::kTask;
  record_.creating = true;
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& maker = Client();
  AgentGreets();
  AgentIsReady();
  HangUp(maker);
  EXPECT_EQ(record_.notes.back(), "removed");
  EXPECT_EQ(ends_, 1);
}

}  // namespace
}  // namespace pyro::supervisor
