#include "front/cli/values.h"

#include <gtest/gtest.h>

namespace pyro::cli {
namespace {

TEST(Values, SecondsTakeUnits) {
  EXPECT_EQ(ParseSeconds("90"), 90);
  EXPECT_EQ(ParseSeconds("90s"), 90);
  EXPECT_EQ(ParseSeconds("5m"), 300);
  EXPECT_EQ(ParseSeconds("2h"), 7200);
  EXPECT_EQ(ParseSeconds("7d"), 604800);
  EXPECT_EQ(ParseSeconds("-1"), -1);
}

TEST(Values, MibTakeUnits) {
  EXPECT_EQ(ParseMib("512"), 512);
  EXPECT_EQ(ParseMib("512m"), 512);
  EXPECT_EQ(ParseMib("2G"), 2048);
  EXPECT_EQ(ParseMib("20GiB"), 20480);
  EXPECT_EQ(ParseMib("1T"), 1048576);
}

TEST(Values, MillisecondsTakeUnitsAndFractions) {
  EXPECT_EQ(ParseMilliseconds("0.5"), 500);
  EXPECT_EQ(ParseMilliseconds("20"), 20000);
  EXPECT_EQ(ParseMilliseconds("1.5m"), 90000);
  EXPECT_EQ(ParseMilliseconds("250ms"), 250);
}

TEST(Values, WhatIsNoNumberIsRefusedWithAHint) {
  for (const char* bad : {"", "s", "five", "5 m", "5min", "5.5", "+5", "1h30m", " 5", "0x10", "--5",
                          "99999999999999999999", "9223372036854775807d"}) {
    const auto seconds = ParseSeconds(bad);
    ASSERT_FALSE(seconds.has_value()) << bad;
    EXPECT_EQ(seconds.error().hint,
              "give a whole number of seconds, or with a unit s, m, h or d, such as 90 or 5m");
  }
  for (const char* bad : {"", "G", "2GB", "2.5G", "512k", "9223372036854775807T"}) {
    EXPECT_FALSE(ParseMib(bad).has_value()) << bad;
  }
  for (const char* bad : {"", ".", "1.2.3", "nan", "inf", "1e3", "-1", "99999999999999999999"}) {
    EXPECT_FALSE(ParseMilliseconds(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace pyro::cli
