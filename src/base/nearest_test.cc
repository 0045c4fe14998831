#include "base/nearest.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

const std::vector<std::string> kOptions = {"network", "mem-mib", "timeout-seconds", "ttl-seconds",
                                           "quiet"};

TEST(Nearest, DistanceCountsOneForASwap) {
  EXPECT_EQ(EditDistance("netwrok", "network"), 1u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(EditDistance("same", "same"), 0u);
}

TEST(Nearest, FindsWhatWasMistyped) {
  EXPECT_EQ(Nearest("netwrok", kOptions), "network");
  EXPECT_EQ(Nearest("mem-mb", kOptions), "mem-mib");
  EXPECT_EQ(Nearest("qiet", kOptions), "quiet");
}

TEST(Nearest, FindsWhatAWordBegins) {
  EXPECT_EQ(Nearest("timeout", kOptions), "timeout-seconds");
  EXPECT_EQ(Nearest("mem", kOptions), "mem-mib");
}

TEST(Nearest, FindsNothingWhereNothingIsNear) {
  EXPECT_EQ(Nearest("volume", kOptions), std::nullopt);
  EXPECT_EQ(Nearest("x", kOptions), std::nullopt);
  EXPECT_EQ(Nearest("all", {"allow-host-compat"}), std::nullopt);
  EXPECT_EQ(Nearest("", kOptions), std::nullopt);
  EXPECT_EQ(Nearest(std::string(1000000, 'q'), kOptions), std::nullopt);
}

}  // namespace
}  // namespace pyro
