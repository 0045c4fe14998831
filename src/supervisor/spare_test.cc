// A spare by itself: its warm-up, its claim and the refill of its pool.

#include "supervisor/spare.h"

#include <chrono>

#include <gtest/gtest.h>

#include "supervisor/testing/supervisor_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

class SparePartTest : public SupervisorFixture {
 protected:
  Spare& Make() { return spare_.emplace(config_, record_, timers_, helpers_); }

  static wire::Ready SomeReady() {
    wire::Ready ready;
    ready.kernel = "6.1";
    return ready;
  }

  std::optional<Spare> spare_;
};

TEST_F(SparePartTest, AGuestOfNoPoolNeverWaits) { EXPECT_FALSE(Make().waiting()); }

TEST_F(SparePartTest, TheEndOfItsFirstCommandEndsTheWarmUpHoweverItComes) {
  config_.spare_pool = directory_.path();
  const wire::Frame failed = wire::ErrorFrame(1, MakeError(ErrorCode::kNotFound, "no /bin/true"));
  for (const wire::Frame& end : {wire::Exited{}.ToFrame(1), failed}) {
    Spare& spare = Make();
    wire::FrameDecoder decoder;
    decoder.Append(spare.WarmUp(SomeReady()));
    EXPECT_EQ((*decoder.Next())->type, Type::kExec);
    EXPECT_EQ((*decoder.Next())->type, Type::kEof);
    const auto started = spare.FromAgent(wire::Plain(Type::kStarted, 1));
    ASSERT_TRUE(started.ok());
    EXPECT_FALSE(started->has_value());
    EXPECT_TRUE(spare.warming_up());
    const auto ready = spare.FromAgent(end);
    ASSERT_TRUE(ready.ok());
    ASSERT_TRUE(ready->has_value());
    EXPECT_EQ((*ready)->kernel, "6.1");
    EXPECT_FALSE(spare.warming_up());
  }
}

TEST_F(SparePartTest, AFrameOfAnotherCommandIsABreach) {
  config_.spare_pool = directory_.path();
  Spare& spare = Make();
  (void)spare.WarmUp(SomeReady());
  EXPECT_FALSE(spare.FromAgent(wire::Plain(Type::kStarted, 2)).ok());
}

TEST_F(SparePartTest, AGuestThatBootsAgainWarmsUpAgain) {
  config_.spare_pool = directory_.path();
  Spare& spare = Make();
  (void)spare.WarmUp(SomeReady());
  spare.StartOver();
  EXPECT_FALSE(spare.warming_up());
}

TEST_F(SparePartTest, AClaimIsRecordedAndFillsThePoolOnce) {
  config_.spare_pool = directory_.path();
  Spare& spare = Make();
  spare.Claim();
  EXPECT_FALSE(spare.waiting());
  EXPECT_EQ(record_.Count("taken"), 1);
  EXPECT_EQ(helpers_.spare_fillers, 0);
  Pass(5ms);
  EXPECT_EQ(helpers_.spare_fillers, 1);
  spare.GuestEnded();
  EXPECT_EQ(helpers_.spare_fillers, 1);
}

TEST_F(SparePartTest, AClaimForATaskFillsThePoolAlsoIfTheTaskCannotBeMade) {
  config_.spare_pool = directory_.path();
  for (const bool refused : {false, true}) {
    if (refused) record_.refuses = MakeError(ErrorCode::kNoSpace, "no room");
    Spare& spare = Make();
    EXPECT_EQ(spare.ClaimForTask("task", SomeReady(), std::nullopt).ok(), !refused);
    EXPECT_FALSE(spare.waiting());
    spare.GuestEnded();
  }
  EXPECT_EQ(helpers_.spare_fillers, 2);
  EXPECT_EQ(record_.notes.size(), 1u);
}

TEST_F(SparePartTest, ASpareThatNoClientClaimedLeavesNoGap) {
  config_.spare_pool = directory_.path();
  Make().GuestEnded();
  EXPECT_EQ(helpers_.spare_fillers, 0);
}

}  // namespace
}  // namespace pyro::supervisor
