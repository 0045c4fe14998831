// How guests end: stopped, removed, lost.

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "supervisor/testing/supervisor_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

class SupervisorEndingTest : public SupervisorFixture {};

TEST_F(SupervisorEndingTest, StoppedGuestsPowerOffAndKeepTheirDisk) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  FramePeer& worker = Client();
  worker.Send(Exec(1, "running"));
  Run();
  Agent().Take();
  client.Take();
  client.Send(wire::Stop{false}.ToFrame());
  Run();
  EXPECT_TRUE(Has(Agent().Take(), Type::kPowerOff));
  EXPECT_TRUE(Has(worker.Take(), Type::kExited));  // As lost.
  EXPECT_FALSE(sys::ConnectUnix(directory_.path() / "control.sock").ok());
  EXPECT_EQ(ends_, 0);
  client.Send(wire::Stop{false}.ToFrame());  // Twice is fine.
  Run();
  AgentSays(wire::Plain(Type::kStopped));  // What it says now counts no more.
  vmm::FakeGuest guest = Guest();
  guest.End(vmm::MachineEnd::kPoweredOff);
  Run();
  EXPECT_EQ(record_.notes.back(), "stopped");
  EXPECT_TRUE(Has(client.Take(), Type::kStopped));
  EXPECT_EQ(ends_, 1);
  EXPECT_TRUE(Over());
}

TEST_F(SupervisorEndingTest, AGuestThatDoesNotPowerOffIsKilledAfterFifteenSeconds) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  supervisor_->Stop(false);
  Run();
  Pass(14s);
  EXPECT_FALSE(Guest().ended());
  Pass(1s);
  EXPECT_TRUE(Guest().ended());
  EXPECT_EQ(record_.notes.back(), "stopped");
  EXPECT_EQ(ends_, 1);
}

TEST_F(SupervisorEndingTest, AGuestWithoutItsChannelIsLost) {
  record_.keeps_journal = true;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(Exec(1, "running", true));
  Run();
  (void)client.Take();
  ASSERT_EQ(::shutdown(Guest().channel(), SHUT_RDWR), 0);
  Run();
  Pass(10s - 1ms);
  EXPECT_FALSE(Guest().ended());
  Pass(1ms);
  EXPECT_TRUE(Guest().ended());
  EXPECT_EQ(record_.Count("end 1 interrupted"), 1);
  EXPECT_EQ(record_.notes.back(), "lost: the guest has closed its channel");
  EXPECT_EQ(ErrorIn(client.Take()), "the guest has closed its channel");
  EXPECT_EQ(ends_, 1);
}

TEST_F(SupervisorEndingTest, AGuestThatPowersOffMayCloseItsChannelLongBefore) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  supervisor_->Stop(false);
  Run();
  ASSERT_EQ(::shutdown(Guest().channel(), SHUT_RDWR), 0);
  Run();
  Pass(12s);
  EXPECT_FALSE(Guest().ended());
  Guest().End(vmm::MachineEnd::kPoweredOff);
  Run();
  EXPECT_EQ(record_.notes.back(), "stopped");
}

TEST_F(SupervisorEndingTest, AHeldCommandIsToldWhyTheGuestDidNotStart) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  client.Send(Exec(1, "held"));
  Run();
  (void)client.Take();
  AgentGreets("another");
  EXPECT_NE(ErrorIn(client.Take()).find("the guest broke the protocol"), std::string::npos);
}

TEST_F(SupervisorEndingTest, RemovedGuestsAreKilledAtOnce) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(wire::Stop{true}.ToFrame());
  Run();
  EXPECT_TRUE(Guest().ended());
  EXPECT_FALSE(Has(Agent().Take(), Type::kPowerOff));
  EXPECT_EQ(record_.notes.back(), "removed");
  EXPECT_TRUE(Has(client.Take(), Type::kStopped));
  EXPECT_TRUE(Over());
}

TEST_F(SupervisorEndingTest, AGuestOnItsWayOutCanStillBeRemoved) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(wire::Stop{false}.ToFrame());
  client.Send(wire::Stop{true}.ToFrame());
  Run();
  EXPECT_EQ(record_.notes.back(), "removed");
  EXPECT_EQ(ends_, 1);
}

TEST_F(SupervisorEndingTest, AGuestThatIsStillStartingStopsWithoutAPowerOff) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  client.Send(Exec(1, "early"));
  client.Send(wire::Stop{false}.ToFrame());
  Run();
  EXPECT_TRUE(Guest().ended());
  EXPECT_EQ(record_.notes.back(), "stopped");
  const Frames told = client.Take();
  EXPECT_NE(ErrorIn(told).find("the guest is gone"), std::string::npos);
  EXPECT_TRUE(Has(told, Type::kStopped));
}

TEST_F(SupervisorEndingTest, AGuestThatEndsByItselfIsLostWithItsCommands) {
  record_.keeps_journal = true;
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Take();
  client.Send(Exec(1, "running", true));
  Run();
  vmm::FakeGuest guest = Guest();
  guest.End(vmm::MachineEnd::kKilled, "killed from outside");
  Run();
  const Frames told = client.Take();
  EXPECT_NE(ErrorIn(told).find("the guest is gone: the fake machine killed"), std::string::npos);
  EXPECT_FALSE(Has(told, Type::kExited));
  EXPECT_TRUE(Has(told, Type::kStopped));
  EXPECT_EQ(record_.Count("end 1 interrupted"), 1);
  EXPECT_TRUE(record_.notes.back().starts_with("lost: the guest is gone")) << record_.notes.back();
  ASSERT_TRUE(supervisor_->failure());
  EXPECT_EQ(supervisor_->failure()->code, ErrorCode::kGuestUnavailable);
  EXPECT_TRUE(Over());
}

TEST_F(SupervisorEndingTest, AGuestThatBreaksTheProtocolIsNotTrustedAnyMore) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Take();
  AgentSays(wire::Plain(Type::kStarted, 77));
  EXPECT_NE(ErrorIn(client.Take()).find("the guest broke the protocol"), std::string::npos);
  EXPECT_TRUE(Guest().ended());
  EXPECT_TRUE(record_.notes.back().starts_with("lost: "));
}

TEST_F(SupervisorEndingTest, TheVmOfARunIsRemovedWhenItsGuestIsLost) {
  config_.dies_with_first_client = true;
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& owner = Client();
  AgentGreets();
  AgentIsReady();
  vmm::FakeGuest guest = Guest();
  guest.End(vmm::MachineEnd::kReset);
  Run();
  EXPECT_TRUE(Has(owner.Take(), Type::kError));
  EXPECT_EQ(record_.notes.back(), "removed");
}

TEST_F(SupervisorEndingTest, NothingIsTimedAfterTheEnd) {
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(Exec(1, "long", false, 5000));
  Run();
  EXPECT_GT(timers_.waiting(), 0u);
  client.Send(wire::Stop{true}.ToFrame());
  Run();
  EXPECT_EQ(timers_.waiting(), 0u);
}

// --- Spares

class SpareTest : public SupervisorFixture {
 protected:
  SpareTest() {
    config_.spare_pool = directory_.path();
    config_.ttl = 100s;
    record_.waits_for = 1000s;
  }

  // A spare that waits to be taken.
  void BeginWaiting() {
    ASSERT_NO_FATAL_FAILURE(Begin());
    AgentGreets();
    AgentIsReady();
    EXPECT_EQ(readies_, 0);
    const Frames asked = Agent().Take();
    const wire::Frame* exec = Find(asked, Type::kExec);
    ASSERT_NE(exec, nullptr);
    EXPECT_EQ(wire::Exec::FromFrame(*exec)->argv[0], "/bin/true");
    AgentEnds(exec->channel);
    EXPECT_EQ(readies_, 1);
  }

  FramePeer& Taker(std::string task = {}) {
    FramePeer& client = Client();
    client.Take();
    client.Send(wire::Claim{300, std::move(task)}.ToFrame());
    Run();
    return client;
  }
};

TEST_F(SpareTest, WarmsUpAndGoesToTheFirstClientThatClaimsIt) {
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  EXPECT_TRUE(record_.notes.empty());
  FramePeer& taker = Taker();
  const Frames told = taker.Take();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].type, Type::kClaimed);
  const auto ready = wire::Ready::FromFrame(told[1]);
  EXPECT_EQ(ready->start, "spare");
  EXPECT_EQ(ready->machine_at_us, 0);
  EXPECT_EQ(record_.notes, (std::vector<std::string>{"taken"}));
  EXPECT_FALSE(ErrorIn(Taker().Take()).empty());

  taker.Send(Exec(1, "mine"));
  Run();
  EXPECT_TRUE(Has(Agent().Take(), Type::kExec));
  HangUp(taker);
  EXPECT_EQ(record_.notes.back(), "removed");
  EXPECT_EQ(ends_, 1);
}

TEST_F(SpareTest, BecomesATasksGuestWithAJournal) {
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  FramePeer& maker = Taker("manifest");
  const Frames told = maker.Take();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].type, Type::kClaimed);
  EXPECT_EQ(wire::Ready::FromFrame(told[1])->start, "spare");
  EXPECT_EQ(record_.notes, (std::vector<std::string>{"taken for manifest by spare"}));
  record_.creating = false;
  HangUp(maker);
  EXPECT_EQ(ends_, 0);

  FramePeer& client = Client();
  client.Send(Exec(1, "kept", true));
  Run();
  EXPECT_EQ(record_.Count("begin kept"), 1);
  EXPECT_EQ(helpers_.spare_fillers, 0);
  Pass(5ms);
  EXPECT_EQ(helpers_.spare_fillers, 1);
  const Frames asked = Agent().Take();
  AgentEnds(Find(asked, Type::kExec)->channel);
  supervisor_->Terminate();
  Run();
  EXPECT_TRUE(Has(Agent().Take(), Type::kPowerOff));
  Guest().End(vmm::MachineEnd::kPoweredOff);
  Run();
  EXPECT_EQ(record_.notes.back(), "stopped");
}

TEST_F(SpareTest, ATasksGuestGoesWithAMakerThatIsNotDone) {
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  HangUp(Taker("manifest"));
  EXPECT_EQ(record_.notes.back(), "removed");
  EXPECT_EQ(ends_, 1);
}

TEST_F(SpareTest, WhoseTaskCannotBeMadeTellsWhyAndEnds) {
  record_.refuses = MakeError(ErrorCode::kNoSpace, "no room");
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  FramePeer& maker = Taker("manifest");
  EXPECT_EQ(ErrorIn(maker.Take()), "no room");
  EXPECT_EQ(record_.notes.back(), "removed");
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(helpers_.spare_fillers, 1);
}

TEST_F(SpareTest, ThePoolIsFilledAgainOnceTheCommandIsOnItsWay) {
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  Taker();
  EXPECT_EQ(helpers_.spare_fillers, 0);
  Pass(5ms);
  EXPECT_EQ(helpers_.spare_fillers, 1);
}

TEST_F(SpareTest, ThePoolIsFilledAgainAtTheLatestWhenTheGuestEnds) {
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  FramePeer& taker = Taker();
  HangUp(taker);
  EXPECT_EQ(helpers_.spare_fillers, 1);
  EXPECT_TRUE(Over());
}

TEST_F(SpareTest, BelongsToNoClientUntilItIsClaimed) {
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  FramePeer& client = Client();
  EXPECT_EQ(client.Take().size(), 1u);  // A hello, and not that the guest is ready.
  client.Send(Exec(1, "not mine"));
  Run();
  EXPECT_FALSE(ErrorIn(client.Take()).empty());
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(Agent().Take().empty());
  EXPECT_EQ(ends_, 0);
}

TEST_F(SpareTest, CannotBeClaimedBeforeItIsReady) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  EXPECT_FALSE(ErrorIn(Taker().Take()).empty());
}

TEST_F(SpareTest, WaitsAsLongAsItsPool) {
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  Pass(100s);
  EXPECT_EQ(ends_, 0);  // The pool had 1000 s left then.
  record_.waits_for = 50s;
  Pass(1000s);
  EXPECT_EQ(ends_, 0);
  record_.waits_for = std::nullopt;
  Pass(50s);
  EXPECT_EQ(record_.notes.back(), "removed");
  EXPECT_EQ(ends_, 1);
}

TEST_F(SpareTest, IsRemovedByAnyStop) {
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  FramePeer& client = Client();
  client.Send(wire::Stop{false}.ToFrame());
  Run();
  EXPECT_EQ(record_.notes.back(), "removed");
}

TEST_F(SpareTest, AStopForSparesThatComesAfterAClaimChangesNothing) {
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  FramePeer& early = Client();  // Greeted while it still waited.
  early.Take();
  FramePeer& maker = Taker("manifest");
  record_.creating = false;
  maker.Take();
  FramePeer& late = Client();
  late.Take();
  for (FramePeer* client : {&early, &late}) {
    client->Send(wire::Stop{.remove = true, .only_spare = true}.ToFrame());
    Run();
    EXPECT_EQ(ErrorIn(client->Take()), "this guest has an owner");
    EXPECT_TRUE(client->ended());
  }
  EXPECT_EQ(ends_, 0);
  EXPECT_EQ(record_.Count("removed"), 0);
  maker.Send(Exec(1, "goes on", true));
  Run();
  EXPECT_EQ(record_.Count("begin goes on"), 1);
}

TEST_F(SpareTest, IsRemovedByAStopForSparesWhileItWaits) {
  ASSERT_NO_FATAL_FAILURE(BeginWaiting());
  Client().Send(wire::Stop{.remove = true, .only_spare = true}.ToFrame());
  Run();
  EXPECT_EQ(record_.notes.back(), "removed");
}

TEST_F(SpareTest, ThatDoesNotStartEndsAtOnceWithTheReason) {
  vmm_.RefuseNextStart(MakeError(ErrorCode::kUnavailable, "no room"));
  ASSERT_NO_FATAL_FAILURE(Begin());
  EXPECT_EQ(ends_, 1);
  ASSERT_TRUE(supervisor_->failure());
  EXPECT_EQ(supervisor_->failure()->message, "no room");
}

TEST_F(SpareTest, AFrameOfAnotherCommandDuringTheWarmUpIsABreach) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  AgentGreets();
  AgentIsReady();
  AgentSays(wire::Plain(Type::kStarted, 2));
  EXPECT_EQ(ends_, 1);
  EXPECT_NE(supervisor_->failure()->message.find("broke the protocol"), std::string::npos);
}

}  // namespace
}  // namespace pyro::supervisor
