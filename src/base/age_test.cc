#include "base/age.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

using std::chrono::milliseconds;

TEST(AgeTest, ReadsTheTimesThatAreShown) {
  for (const std::int64_t ms : {0LL, 1767225599007LL, 951782400000LL, 4102444799999LL}) {
    const WallTime time{milliseconds(ms)};
    const auto read = ParseTime(FormatTime(time));
    ASSERT_TRUE(read) << FormatTime(time);
    EXPECT_EQ(*read, time);
  }
  for (const char* bad :
       {"", "now", "2026-01-31T09:00:00Z", "2026-02-30T09:00:00.000Z", "2026-01-31T24:00:00.000Z",
        "2026-01-31 09:00:00.000Z", "2026-01-31T09:00:00.000Z "}) {
    EXPECT_FALSE(ParseTime(bad)) << bad;
  }
}

TEST(AgeTest, IsToldInItsLargestWholeUnit) {
  EXPECT_EQ(FormatAge(milliseconds(-5000)), "0 s");
  EXPECT_EQ(FormatAge(milliseconds(59'999)), "59 s");
  EXPECT_EQ(FormatAge(milliseconds(60'000)), "1 min");
  EXPECT_EQ(FormatAge(milliseconds(3'599'000)), "59 min");
  EXPECT_EQ(FormatAge(std::chrono::hours(47)), "47 h");
  EXPECT_EQ(FormatAge(std::chrono::hours(24 * 9)), "9 d");
}

}  // namespace
}  // namespace pyro
