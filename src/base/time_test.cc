#include "base/time.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

TEST(TimeTest, FormatsUtcWithMilliseconds) {
  EXPECT_EQ(FormatTime(WallTime(std::chrono::milliseconds(0))), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatTime(WallTime(std::chrono::milliseconds(1767225599007))),
            "2025-12-31T23:59:59.007Z");
  EXPECT_EQ(FormatTime(WallTime(std::chrono::milliseconds(-1))), "1969-12-31T23:59:59.999Z");
}

TEST(TimeTest, DeadlineGivesPollTimeouts) {
  EXPECT_EQ(Deadline::Never().PollTimeout(), -1);
  EXPECT_FALSE(Deadline::Never().Expired());
  EXPECT_EQ(Deadline::After(std::chrono::milliseconds(-5)).PollTimeout(), 0);
  EXPECT_TRUE(Deadline::After(std::chrono::milliseconds(-5)).Expired());
  EXPECT_EQ(Deadline::After(std::chrono::hours(100)).PollTimeout(), 3'600'000);
}

}  // namespace
}  // namespace pyro
