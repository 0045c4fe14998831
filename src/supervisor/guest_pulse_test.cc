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
  bool Changed() { return watch_.Changed({wall_, steady_}); }

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

// A guest whose clock is moved by hand, on a host whose clocks are.
class GuestPulseTest : public ::testing::Test {
 protected:
  GuestPulseTest()
      : pulse_({.ping = [this](std::int64_t number) { pings_.push_back(number); },
                .set_clock = [this](const wire::SetClock& by) { moves_.push_back(by); }}) {}

  void Pass(std::int64_t ms) {
    host_.wall_ns += ms * kMs;
    host_.steady_ns += ms * kMs;
    guest_ns_ += ms * kMs;
  }
  void Beat() { pulse_.Beat(host_); }
  // `took`: in milliseconds, of which the guest reads its clock in the middle.
  void Answer(std::int64_t took = 0) {
    Pass(took / 2);
    const wire::Pong pong{pings_.back(), guest_ns_, was_set_};
    Pass(took - took / 2);
    EXPECT_TRUE(pulse_.Answered(pong, host_).ok());
  }
  void BeatAndAnswer(std::int64_t took = 0) {
    Pass(5000);
    Beat();
    Answer(took);
  }

  // How far the guest's clock is ahead of the host's, in milliseconds.
  void Ahead(std::int64_t ms) { guest_ns_ = host_.wall_ns + ms * kMs; }
  // What the last of so many moves was, in milliseconds. Carries it out.
  std::int64_t Moved(std::size_t moves, bool slew = false) {
    EXPECT_EQ(moves_.size(), moves);
    if (moves_.size() != moves) return 0;
    EXPECT_EQ(moves_.back().slew, slew);
    guest_ns_ += moves_.back().by_ns;
    return moves_.back().by_ns / kMs;
  }

  std::vector<std::int64_t> pings_;
  std::vector<wire::SetClock> moves_;
  HostMoment host_{1'800'000'000'000 * kMs, 5000 * kMs};
  std::int64_t guest_ns_ = host_.wall_ns;
  bool was_set_ = false;
  GuestPulse pulse_;
};

TEST_F(GuestPulseTest, AGuestThatAnswersKeepsItsClock) {
  for (int i = 0; i < 100; ++i) BeatAndAnswer(20);
  EXPECT_EQ(pings_.size(), 100u);
  EXPECT_TRUE(moves_.empty());
  EXPECT_FALSE(pulse_.silent());
}

TEST_F(GuestPulseTest, AClockThatIsFarOffIsStepped) {
  for (const std::int64_t ahead : {3'600'000, -7'200'000, 501, -501}) {
    moves_.clear();
    Ahead(ahead);
    BeatAndAnswer();
    EXPECT_EQ(Moved(1), -ahead);
    BeatAndAnswer();
    EXPECT_EQ(moves_.size(), 1u);
  }
}

TEST_F(GuestPulseTest, AClockThatIsALittleOffIsSlewed) {
  for (const std::int64_t ahead : {500, -500, 51, -51}) {
    moves_.clear();
    Ahead(ahead);
    BeatAndAnswer();
    EXPECT_EQ(Moved(1, true), -ahead);
  }
}

TEST_F(GuestPulseTest, AClockThatIsCloseIsLeftAlone) {
  for (const std::int64_t ahead : {50, -50, 0}) {
    Ahead(ahead);
    BeatAndAnswer();
  }
  EXPECT_TRUE(moves_.empty());
}

TEST_F(GuestPulseTest, OnlyTheCertainPartOfADifferenceCounts) {
  Ahead(300);
  BeatAndAnswer(600);
  EXPECT_TRUE(moves_.empty());
  BeatAndAnswer(100);
  EXPECT_EQ(Moved(1, true), -300);
  Ahead(-700);
  BeatAndAnswer(600);
  EXPECT_EQ(Moved(2, true), 700);
}

TEST_F(GuestPulseTest, AClockThatAProgramHasSetIsLeftAlone) {
  was_set_ = true;
  Ahead(-800'000'000);
  for (int i = 0; i < 100; ++i) BeatAndAnswer();
  EXPECT_TRUE(moves_.empty());
}

TEST_F(GuestPulseTest, AStepOfTheHostsClockCountsForOneThatAProgramHasSetToo) {
  was_set_ = true;
  BeatAndAnswer();
  host_.wall_ns += 60'000 * kMs;
  pulse_.HostClockChanged();
  Beat();
  EXPECT_TRUE(moves_.empty());
  Answer();
  EXPECT_EQ(Moved(1), 60'000);
  Ahead(-5000);
  BeatAndAnswer();
  EXPECT_EQ(moves_.size(), 1u);
}

TEST_F(GuestPulseTest, AGuestThatWasPausedIsAskedOnceMoreAndGetsTheTimeThen) {
  was_set_ = true;
  Beat();
  const std::int64_t stood_still_at = guest_ns_;
  Pass(5000);
  Beat();
  Pass(5000);
  Beat();
  EXPECT_EQ(pings_.size(), 1u);
  guest_ns_ = stood_still_at;
  Answer();
  // That says only that it stood still at some time of those ten seconds.
  EXPECT_TRUE(moves_.empty());
  ASSERT_EQ(pings_.size(), 2u);
  Answer();
  EXPECT_EQ(Moved(1), 10'000);
  BeatAndAnswer();
  EXPECT_EQ(pings_.size(), 3u);
  EXPECT_EQ(moves_.size(), 1u);
}

TEST_F(GuestPulseTest, AGuestThatIsAlwaysSlowIsAskedOnceMoreAndNotForEver) {
  for (int i = 0; i < 5; ++i) BeatAndAnswer(3000), Answer(3000);
  EXPECT_EQ(pings_.size(), 10u);
  EXPECT_TRUE(moves_.empty());
  Ahead(-60'000);
  BeatAndAnswer(3000);
  Answer(3000);
  EXPECT_EQ(Moved(1), 60'000);
}

TEST_F(GuestPulseTest, AfterAStepTheGuestIsAskedAtOnceUnlessItIsBeingAsked) {
  pulse_.Ask(host_);
  pulse_.Ask(host_);
  EXPECT_EQ(pings_.size(), 1u);
  Answer();
  pulse_.Ask(host_);
  EXPECT_EQ(pings_.size(), 2u);
}

TEST_F(GuestPulseTest, AGuestWithoutAClockOfItsOwnIsOnlyAsked) {
  guest_ns_ = 0;
  Beat();
  pulse_.HostClockChanged();
  EXPECT_TRUE(pulse_.Answered({pings_.back(), 0, false}, host_).ok());
  EXPECT_TRUE(moves_.empty());
}

TEST_F(GuestPulseTest, NoAnswerOfAHostileGuestIsTooFarAway) {
  guest_ns_ = INT64_MAX;
  Beat();
  Answer();
  EXPECT_EQ(moves_.size(), 1u);
  guest_ns_ = 1;
  Beat();
  Answer();
  EXPECT_EQ(moves_.size(), 2u);
}

TEST_F(GuestPulseTest, SilenceIsCountedInBeatsAndEndsWithAnAnswer) {
  Beat();
  for (int i = 0; i < GuestPulse::kSilentBeats; ++i) {
    EXPECT_FALSE(pulse_.silent());
    Beat();
  }
  EXPECT_TRUE(pulse_.silent());
  Answer();
  EXPECT_FALSE(pulse_.silent());
}

TEST_F(GuestPulseTest, AGuestThatIsForgivenHasAllOfItsTimeAgain) {
  for (int i = 0; i < 100; ++i) Beat();
  EXPECT_TRUE(pulse_.silent());
  pulse_.Forgive();
  for (int i = 0; i < GuestPulse::kSilentBeats; ++i) {
    EXPECT_FALSE(pulse_.silent());
    Beat();
  }
  EXPECT_TRUE(pulse_.silent());
}

TEST_F(GuestPulseTest, AnAnswerToNoPingIsABreach) {
  EXPECT_FALSE(pulse_.Answered({}, host_).ok());
  BeatAndAnswer();
  EXPECT_FALSE(pulse_.Answered({pings_.back()}, host_).ok());
  Beat();
  EXPECT_FALSE(pulse_.Answered({pings_.back() + 1}, host_).ok());
  EXPECT_TRUE(moves_.empty());
}

}  // namespace
}  // namespace pyro::supervisor
