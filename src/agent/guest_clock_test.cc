#include "agent/guest_clock.h"

#include <cerrno>
#include <vector>

#include <gtest/gtest.h>

#include "sys/errno_error.h"

namespace pyro::agent {
namespace {

constexpr std::int64_t kMs = 1'000'000;

// A kernel whose clocks are moved by hand.
class GuestClockTest : public ::testing::Test {
 protected:
  GuestClockTest()
      : clock_({.wall = [this] { return wall_; },
                .steady =
                    [this] {
                      Pass(held_up_);
                      return steady_;
                    },
                .set =
                    [this](std::int64_t wall) {
                      if (refuses_ != 0) return Status(sys::ErrnoError(refuses_, "clock_settime"));
                      wall_ = wall;
                      return OkStatus();
                    },
                .slew =
                    [this](std::int64_t by) {
                      slews_.push_back(by);
                      return OkStatus();
                    }}) {}

  void Pass(std::int64_t ns) {
    wall_ += ns;
    steady_ += ns;
  }

  std::int64_t wall_ = 1'800'000'000'000 * kMs;
  std::int64_t steady_ = 5000 * kMs;
  std::int64_t held_up_ = 0;  // Before each reading of the steady clock.
  int refuses_ = 0;
  std::vector<std::int64_t> slews_;
  GuestClock clock_;
};

TEST_F(GuestClockTest, TimeThatPassesIsNoStep) {
  Pass(3'600'000 * kMs);
  EXPECT_EQ(clock_.Read().wall_clock_ns, wall_);
  EXPECT_FALSE(clock_.Read().was_set);
}

TEST_F(GuestClockTest, AStepOfAProgramIsSeenUntilTheHostsNextOne) {
  wall_ -= 7'200'000 * kMs;
  EXPECT_TRUE(clock_.Read().was_set);
  Pass(60'000 * kMs);
  EXPECT_TRUE(clock_.Read().was_set);
  clock_.Move({.by_ns = 7'200'000 * kMs});
  EXPECT_FALSE(clock_.Read().was_set);
  EXPECT_EQ(wall_, 1'800'000'060'000 * kMs);
}

TEST_F(GuestClockTest, OneThatASetupSetIsTheHosts) {
  ASSERT_TRUE(clock_.Set(1'000 * kMs).ok());
  EXPECT_EQ(wall_, 1'000 * kMs);
  EXPECT_FALSE(clock_.Read().was_set);
}

TEST_F(GuestClockTest, ASlewMovesByAndByAndIsNoStep) {
  clock_.Move({.by_ns = -80 * kMs, .slew = true});
  EXPECT_EQ(slews_, std::vector<std::int64_t>{-80 * kMs});
  EXPECT_EQ(wall_, 1'800'000'000'000 * kMs);
  EXPECT_FALSE(clock_.Read().was_set);
}

TEST_F(GuestClockTest, AGuestThatIsHeldUpWhileItReadsSeesNoStep) {
  held_up_ = 300 * kMs;
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(clock_.Read().was_set);
}

TEST_F(GuestClockTest, OneThatCannotBeMovedStaysAndIsToldOnceInARow) {
  refuses_ = EPERM;
  ::testing::internal::CaptureStderr();
  clock_.Move({.by_ns = 5000 * kMs});
  clock_.Move({.by_ns = 5000 * kMs});
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(wall_, 1'800'000'000'000 * kMs);
  EXPECT_NE(told.find("the clock cannot be corrected: "), std::string::npos) << told;
  EXPECT_EQ(told.find('\n'), told.rfind('\n')) << told;
  refuses_ = 0;
  clock_.Move({.by_ns = 5000 * kMs});
  refuses_ = EPERM;
  ::testing::internal::CaptureStderr();
  clock_.Move({.by_ns = 5000 * kMs});
  EXPECT_NE(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(GuestClockTest, ATimeBeforeTheEpochOrBeyondAllNumbersIsRefused) {
  ::testing::internal::CaptureStderr();
  for (const std::int64_t by : {INT64_MAX, -INT64_MAX}) clock_.Move({.by_ns = by});
  EXPECT_NE(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(wall_, 1'800'000'000'000 * kMs);
}

TEST(KernelClockTest, ItIsReadAndNoStepOfItIsSeen) {
  const GuestClock clock;
  const ClockReading read = clock.Read();
  EXPECT_GT(read.wall_clock_ns, 1'600'000'000'000 * kMs);
  EXPECT_FALSE(read.was_set);
}

}  // namespace
}  // namespace pyro::agent
