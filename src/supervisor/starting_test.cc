// The start of a guest by itself: which frame of the agent it takes when, and what it answers.

#include "supervisor/starting.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "supervisor/testing/supervisor_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

class StartingPartTest : public SupervisorFixture,
                         public ClientRequests,
                         public GuestMachine::Owner,
                         public Starting::Owner {
 protected:
  Starting& Make() {
    machine_.emplace(loop_, config_, vmm_, timers_, *this);
    clients_.emplace(loop_, *this);
    spare_.emplace(config_, record_, timers_, helpers_);
    template_.emplace(config_, timers_, helpers_, [] { return true; });
    starting_.emplace(loop_,
                      Starting::Parts{.config = config_,
                                      .clock = clock_,
                                      .machine = *machine_,
                                      .clients = *clients_,
                                      .templ = *template_,
                                      .spare = *spare_},
                      timers_, *this);
    starting_->Begin();
    Run();
    return *starting_;
  }

  static wire::Frame AgentHello(const std::string& build = std::string(BuildId())) {
    return wire::Hello{wire::kProtocolVersion, "agent", build, "6.1"}.ToFrame();
  }

  static wire::Frame AgentReady() {
    wire::Ready ready;
    ready.kernel = "6.1\n";
    ready.shell = "/bin/bash";
    ready.start = "by magic";
    return ready.ToFrame();
  }

  int readies_ = 0;
  std::vector<std::string> failures_;
  std::optional<GuestMachine> machine_;
  std::optional<Clients> clients_;
  std::optional<Spare> spare_;
  std::optional<TemplateUse> template_;
  std::optional<Starting> starting_;

 private:
  Status FromAgent(wire::Frame) override { return OkStatus(); }
  void MachineEnded() override {}
  void ChannelClosed() override {}
  void ClientGreeted(ClientId) override {}
  Status FromClient(ClientId, wire::Frame) override { return OkStatus(); }
  Status StopAsked(const wire::Stop&) override { return OkStatus(); }
  Status ClaimAsked(ClientId, const wire::Claim&) override { return OkStatus(); }
  Status NetworkRulesAsked(ClientId) override { return OkStatus(); }
  void ClientGone(ClientId) override {}
  void GuestIsReady() override { ++readies_; }
  void GuestFailed(const Error& error) override { failures_.push_back(error.message); }
  void Denied(const net::Denial&) override {}
};

TEST_F(StartingPartTest, HelloIsAnsweredWithTheSetupAndReadyEndsTheStart) {
  Starting& starting = Make();
  EXPECT_EQ(wire::Progress::FromFrame(starting.Told())->phase, "boot");
  ASSERT_TRUE(starting.Hello(AgentHello()).ok());
  Run();
  const Frames asked = Agent().Take();
  EXPECT_TRUE(Has(asked, Type::kHello));
  EXPECT_TRUE(Has(asked, Type::kSetup));
  EXPECT_EQ(wire::Progress::FromFrame(starting.Told())->phase, "setup");
  EXPECT_FALSE(starting.done());
  ASSERT_TRUE(starting.Ready(AgentReady()).ok());
  EXPECT_TRUE(starting.done());
  EXPECT_EQ(starting.Told().type, Type::kReady);
  EXPECT_EQ(timers_.waiting(), 0u);
}

TEST_F(StartingPartTest, WhatTheGuestSaysOfItselfIsMadeHarmlessAndTheRestIsOurs) {
  Starting& starting = Make();
  ASSERT_TRUE(starting.Hello(AgentHello()).ok());
  ASSERT_TRUE(starting.Ready(AgentReady()).ok());
  const wire::Ready& ready = starting.ready();
  EXPECT_EQ(ready.kernel.find('\n'), std::string::npos);
  EXPECT_EQ(ready.shell, "/bin/bash");
  EXPECT_EQ(ready.start, "boot");
  EXPECT_EQ(ready.accelerator, "tcg");
  EXPECT_GT(ready.machine_at_us, 0);
}

TEST_F(StartingPartTest, FramesOutOfTurnAreBreaches) {
  Starting& starting = Make();
  EXPECT_FALSE(starting.Ready(AgentReady()).ok());
  EXPECT_FALSE(starting.WarmUp(wire::Plain(Type::kStarted, 1)).ok());
  EXPECT_FALSE(starting.Hello(AgentHello("another")).ok());
  ASSERT_TRUE(starting.Hello(AgentHello()).ok());
  EXPECT_FALSE(starting.Hello(AgentHello()).ok());
  ASSERT_TRUE(starting.Ready(AgentReady()).ok());
  EXPECT_FALSE(starting.Ready(AgentReady()).ok());
  EXPECT_EQ(readies_, 1);
}

TEST_F(StartingPartTest, ASpareIsReadyOnceItsWarmUpHasEnded) {
  config_.spare_pool = directory_.path();
  Starting& starting = Make();
  ASSERT_TRUE(starting.Hello(AgentHello()).ok());
  ASSERT_TRUE(starting.Ready(AgentReady()).ok());
  EXPECT_FALSE(starting.done());
  ASSERT_TRUE(starting.WarmUp(wire::Exited{}.ToFrame(1)).ok());
  EXPECT_TRUE(starting.done());
  starting.Claimed();
  EXPECT_EQ(wire::Ready::FromFrame(starting.Told())->start, "spare");
}

TEST_F(StartingPartTest, AStartTakesNoLongerThanItsLimitUnlessItHasEndedBefore) {
  config_.boot_timeout = 5s;
  Make();
  Pass(5s);
  EXPECT_EQ(failures_,
            std::vector<std::string>{"the guest did not boot within 5 s; the fake monitor took 0 s "
                                     "of the host's processor"});
  Make().End();
  Pass(5s);
  EXPECT_EQ(failures_.size(), 1u);
}

TEST_F(StartingPartTest, AGuestThatBootedIsNotBootedAgain) {
  Starting& starting = Make();
  EXPECT_FALSE(starting.BootsInstead());
  EXPECT_EQ(vmm_.guests().size(), 1u);
}

}  // namespace
}  // namespace pyro::supervisor
