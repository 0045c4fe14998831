// A guest's commands by themselves: their limits, the journal's second tries, and the pulse.

#include "supervisor/serving.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "supervisor/testing/supervisor_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

class ServingPartTest : public SupervisorFixture,
                        public ClientRequests,
                        public GuestMachine::Owner,
                        public Serving::Owner {
 protected:
  Serving& Make() {
    machine_.emplace(loop_, config_, vmm_, timers_, *this);
    EXPECT_TRUE(machine_->Launch(std::nullopt).ok());
    clients_.emplace(loop_, *this);
    serving_.emplace(Serving::Parts{.loop = loop_,
                                    .clock = clock_,
                                    .machine = *machine_,
                                    .clients = *clients_,
                                    .journal = record_.journal()},
                     timers_, *this);
    serving_->router().GuestReady("/bin/sh");
    serving_->Begin();
    return *serving_;
  }

  // The channel on which the guest got the command.
  std::uint32_t RunInGuest(const wire::Frame& exec) {
    EXPECT_TRUE(serving_->router().FromClient(1, exec).ok());
    Run();
    const Frames asked = Agent().Take();
    return Has(asked, Type::kExec) ? Find(asked, Type::kExec)->channel : 0;
  }

  bool Asked(Type type) {
    Run();
    return Has(Agent().Take(), type);
  }

  int changes_ = 0;
  std::vector<std::string> failures_;
  std::optional<GuestMachine> machine_;
  std::optional<Clients> clients_;
  std::optional<Serving> serving_;

 private:
  void ClientGreeted(ClientId) override {}
  Status FromClient(ClientId, wire::Frame) override { return OkStatus(); }
  Status StopAsked(const wire::Stop&) override { return OkStatus(); }
  Status ClaimAsked(ClientId, const wire::Claim&) override { return OkStatus(); }
  Status NetworkRulesAsked(ClientId) override { return OkStatus(); }
  void ClientGone(ClientId) override {}
  Status FromAgent(wire::Frame) override { return OkStatus(); }
  void MachineEnded() override {}
  void ChannelClosed() override {}
  void CommandsChanged(bool) override { ++changes_; }
  void GuestFailed(const Error& error) override { failures_.push_back(error.message); }
  void Denied(const net::Denial&) override {}
};

TEST_F(ServingPartTest, ACommandIsKilledAtItsLimitAndGivenUpTenSecondsLater) {
  Serving& serving = Make();
  ASSERT_NE(RunInGuest(Exec(1, "long", false, 3000)), 0u);
  EXPECT_EQ(changes_, 1);
  Pass(2999ms);
  EXPECT_FALSE(Asked(Type::kKill));
  Pass(1ms);
  EXPECT_TRUE(Asked(Type::kKill));
  Pass(9s);
  EXPECT_EQ(serving.router().given_up(), 0u);
  Pass(1s);
  EXPECT_EQ(serving.router().given_up(), 1u);
  EXPECT_EQ(changes_, 2);
}

TEST_F(ServingPartTest, ACommandThatEndsHasNoLimitAnyMore) {
  Serving& serving = Make();
  const std::uint32_t channel = RunInGuest(Exec(1, "short", false, 3000));
  const std::size_t waiting = timers_.waiting();
  ASSERT_TRUE(serving.router().FromGuest(wire::ErrorFrame(channel, Error{})).ok());
  // That for its begin, too.
  EXPECT_EQ(timers_.waiting(), waiting - 2);
}

TEST_F(ServingPartTest, AJournalThatTheDiskRefusesIsTriedEverySecondUntilItTakesIt) {
  record_.keeps_journal = true;
  Serving& serving = Make();
  const std::uint32_t channel = RunInGuest(Exec(1, "kept", true));
  record_.full = true;
  ASSERT_TRUE(serving.router().FromGuest(wire::ErrorFrame(channel, Error{})).ok());
  Pass(2s);
  EXPECT_EQ(record_.Count("settle"), 2);
  record_.full = false;
  Pass(10s);
  EXPECT_EQ(record_.Count("settle"), 3);
}

TEST_F(ServingPartTest, AGuestThatIsSilentFailsOnlyIfItOwesTheEndOfACommand) {
  Make();
  Pass(600s);
  EXPECT_TRUE(failures_.empty());
  RunInGuest(Exec(1, "long", false, 1000));
  Pass(100s);
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_NE(failures_[0].find("a command was killed and did not end"), std::string::npos);
  Pass(600s);
  EXPECT_EQ(failures_.size(), 1u);
}

TEST_F(ServingPartTest, AGuestThatIsGoneHasNoPulse) {
  Serving& serving = Make();
  serving.router().GuestGone();
  Pass(600s);
  EXPECT_FALSE(Asked(Type::kPing));
}

TEST_F(ServingPartTest, AnAnswerToNoPingIsABreach) {
  EXPECT_FALSE(Make().Pong(wire::Pong{3}.ToFrame()).ok());
}

TEST_F(ServingPartTest, NothingIsWaitedForAfterItsEnd) {
  Serving& serving = Make();
  RunInGuest(Exec(1, "long", false, 3000));
  serving.End();
  EXPECT_EQ(timers_.waiting(), 0u);
}

}  // namespace
}  // namespace pyro::supervisor
