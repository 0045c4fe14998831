#include "supervisor/guest_pulse.h"

#include <vector>

#include <gtest/gtest.h>

namespace pyro::supervisor {
namespace {

constexpr std::int64_t kMs = 1'000'000;

// A host whose two clocks are moved by hand, in milliseconds.
class HostClockWatchTest : public ::testing::Test {
 protected:
  void Pass(std::int64_t ms) {
    wall_ += ms * kMs;
    steady_ += ms * kMs;
  }
  bool Changed() { return watch_.Changed(wall_, steady_); }

  HostClockWatch watch_;
  std::int64_t wall_ = 1'800'000'000'000 * kMs;
  std::int64_t steady_ = 5000 * kMs;
};

TEST_F(HostClockWatchTest, TimeThatPassesIsNoChange) {
  EXPECT_FALSE(Changed());
  for (int i = 0; i < 100; ++i) {
    Pass(5000);
    EXPECT_FALSE(Changed());
  }
}

TEST_F(HostClockWatchTest, AStepIsNoticedOnceInEitherDirection) {
  EXPECT_FALSE(Changed());
  for (const std::int64_t step : {3'600'000, -7'200'000, 600, -600}) {
    Pass(5000);
    wall_ += step * kMs;
    EXPECT_TRUE(Changed()) << step;
    Pass(5000);
    EXPECT_FALSE(Changed()) << step;
  }
}

TEST_F(HostClockWatchTest, SleepIsNoticed) {
  EXPECT_FALSE(Changed());
  Pass(1000);
  wall_ += 8LL * 3600 * 1000 * kMs;  // The steady clock stands still meanwhile.
  EXPECT_TRUE(Changed());
}

TEST_F(HostClockWatchTest, SmallStepsAddUp) {
  EXPECT_FALSE(Changed());
  int noticed = 0;
  for (int i = 0; i < 12; ++i) {
    wall_ += 100 * kMs;
    noticed += Changed() ? 1 : 0;
  }
  EXPECT_EQ(noticed, 2);
}

class GuestPulseTest : public ::testing::Test {
 protected:
  GuestPulseTest()
      : pulse_({.ping = [this](std::int64_t number) { pings_.push_back(number); },
                .set_clock = [this] { ++clocks_set_; }}) {}

  void BeatAndAnswer() {
    pulse_.Beat();
    EXPECT_TRUE(pulse_.Answered(pings_.back()).ok());
  }

  std::vector<std::int64_t> pings_;
  int clocks_set_ = 0;
  GuestPulse pulse_;
};

TEST_F(GuestPulseTest, AGuestThatAnswersKeepsItsClock) {
  for (int i = 0; i < 100; ++i) BeatAndAnswer();
  EXPECT_EQ(pings_.size(), 100u);
  EXPECT_EQ(clocks_set_, 0);
  EXPECT_FALSE(pulse_.silent());
}

TEST_F(GuestPulseTest, AStepOfTheHostsClockIsPassedOnOnceTheGuestIsSeenToRun) {
  BeatAndAnswer();
  pulse_.HostClockChanged();
  pulse_.Beat();
  EXPECT_EQ(clocks_set_, 0);
  EXPECT_TRUE(pulse_.Answered(pings_.back()).ok());
  EXPECT_EQ(clocks_set_, 1);
  BeatAndAnswer();
  EXPECT_EQ(clocks_set_, 1);
}

TEST_F(GuestPulseTest, AGuestThatWasPausedIsAskedOnceAndGetsTheTimeWhenItGoesOn) {
  pulse_.Beat();
  pulse_.Beat();
  pulse_.Beat();
  EXPECT_EQ(pings_.size(), 1u);
  EXPECT_TRUE(pulse_.Answered(pings_.back()).ok());
  EXPECT_EQ(clocks_set_, 1);
  BeatAndAnswer();
  EXPECT_EQ(clocks_set_, 1);
}

TEST_F(GuestPulseTest, SilenceIsCountedInBeatsAndEndsWithAnAnswer) {
  pulse_.Beat();
  for (int i = 0; i < GuestPulse::kSilentBeats; ++i) {
    EXPECT_FALSE(pulse_.silent());
    pulse_.Beat();
  }
  EXPECT_TRUE(pulse_.silent());
  EXPECT_TRUE(pulse_.Answered(pings_.back()).ok());
  EXPECT_FALSE(pulse_.silent());
}

TEST_F(GuestPulseTest, AGuestThatIsForgivenHasAllOfItsTimeAgain) {
  for (int i = 0; i < 100; ++i) pulse_.Beat();
  EXPECT_TRUE(pulse_.silent());
  pulse_.Forgive();
  for (int i = 0; i < GuestPulse::kSilentBeats; ++i) {
    EXPECT_FALSE(pulse_.silent());
    pulse_.Beat();
  }
  EXPECT_TRUE(pulse_.silent());
}

TEST_F(GuestPulseTest, AnAnswerToNoPingIsABreach) {
  EXPECT_FALSE(pulse_.Answered(0).ok());
  BeatAndAnswer();
  EXPECT_FALSE(pulse_.Answered(pings_.back()).ok());
  pulse_.Beat();
  EXPECT_FALSE(pulse_.Answered(pings_.back() + 1).ok());
  EXPECT_EQ(clocks_set_, 0);
}

}  // namespace
}  // namespace pyro::supervisor
