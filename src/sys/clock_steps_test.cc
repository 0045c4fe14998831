#include "sys/clock_steps.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <string_view>

#include <gtest/gtest.h>

namespace pyro::sys {
namespace {

bool Readable(int fd) {
  pollfd one = {fd, POLLIN, 0};
  return ::poll(&one, 1, 0) == 1;
}

TEST(ClockStepsTest, NothingIsToldWhileTheClockJustRuns) {
  const auto steps = OpenClockSteps();
  ASSERT_TRUE(steps.ok()) << steps.error().message;
  EXPECT_FALSE(Readable(steps->get()));
  EXPECT_EQ(*TakeClockStep(steps->get()), false);
}

// This host's clock is not a test's to step. tests/vm/test_clock.py runs this one in a guest.
TEST(ClockStepsTest, EachStepIsToldOnce) {
  const char* mine = std::getenv("PYRO_TEST_CLOCK_IS_MINE");
  if (mine == nullptr || std::string_view(mine) != "1") {
    GTEST_SKIP() << "only where the clock belongs to the test";
  }
  const auto steps = OpenClockSteps();
  ASSERT_TRUE(steps.ok()) << steps.error().message;
  for (const int by : {-3600, 1, 3600}) {
    timespec now{};
    ASSERT_EQ(::clock_gettime(CLOCK_REALTIME, &now), 0);
    now.tv_sec += by;
    ASSERT_EQ(::clock_settime(CLOCK_REALTIME, &now), 0);
    EXPECT_TRUE(Readable(steps->get())) << by;
    EXPECT_EQ(*TakeClockStep(steps->get()), true) << by;
    EXPECT_FALSE(Readable(steps->get())) << by;
    EXPECT_EQ(*TakeClockStep(steps->get()), false) << by;
  }
}

TEST(ClockStepsTest, AnotherDescriptorTellsByAByteAndNothingOnceItIsClosed) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  EXPECT_EQ(*TakeClockStep(ends[0]), false);
  ASSERT_EQ(::write(ends[1], "12", 2), 2);
  EXPECT_EQ(*TakeClockStep(ends[0]), true);
  EXPECT_EQ(*TakeClockStep(ends[0]), false);
  ::close(ends[1]);
  EXPECT_FALSE(TakeClockStep(ends[0]).ok());
  ::close(ends[0]);
}

}  // namespace
}  // namespace pyro::sys
