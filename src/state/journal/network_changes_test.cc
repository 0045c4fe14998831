#include "state/journal/network_changes.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sys/test_directory.h"

namespace pyro::state {
namespace {

WallTime FromMillis(std::int64_t value) { return WallTime(std::chrono::milliseconds(value)); }

TEST(NetworkChangesTest, TheyAreKeptInTheirOrderAndTheFirstOnesGo) {
  const sys::TestDirectory scratch;
  EXPECT_TRUE(ReadNetworkChanges(scratch.path())->empty());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(AddNetworkChanges(scratch.path(),
                                  {{fmt::format("allow a{}.example", i), FromMillis(1000 + i), i}})
                    .ok());
  }
  const auto kept = ReadNetworkChanges(scratch.path());
  ASSERT_EQ(kept->size(), 3u);
  EXPECT_EQ((*kept)[2].rule, "allow a2.example");
  EXPECT_EQ((*kept)[2].sequence, 2);
  EXPECT_EQ((*kept)[2].changed_at, FromMillis(1002));
  const std::vector<NetworkChange> many(kMaxNetworkChanges, {"deny b.example", FromMillis(5), 7});
  ASSERT_TRUE(AddNetworkChanges(scratch.path(), many).ok());
  EXPECT_EQ(ReadNetworkChanges(scratch.path())->size(), kMaxNetworkChanges);
  EXPECT_EQ(ReadNetworkChanges(scratch.path())->front().rule, "deny b.example");
}

TEST(NetworkChangesTest, ABrokenFileIsToldAndBeginsAgain) {
  const sys::TestDirectory scratch;
  std::ofstream(scratch.path() / "network.json") << R"({"schema":1,"changes":[{"rule":7}]})";
  EXPECT_EQ(ReadNetworkChanges(scratch.path()).error().code, ErrorCode::kDataLoss);
  ASSERT_TRUE(AddNetworkChanges(scratch.path(), {{"allow a.example", FromMillis(1), 0}}).ok());
  EXPECT_EQ(ReadNetworkChanges(scratch.path())->size(), 1u);
}

}  // namespace
}  // namespace pyro::state
