#include "agent/disk_freeze.h"

#include <semaphore>

#include <gtest/gtest.h>

namespace pyro::agent {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// A disk that counts, and says when it is thawed.
class DiskFreezeTest : public ::testing::Test {
 protected:
  DiskFreeze::Calls Calls() {
    return {.freeze = [this]() -> Status {
              if (!refused_) ++frozen_;
              return refused_ ? Status(MakeError(ErrorCode::kNoSpace, "full")) : OkStatus();
            },
            .thaw =
                [this] {
                  ++thawed_;
                  thaw_.release();
                  return OkStatus();
                }};
  }

  bool refused_ = false;
  std::atomic<int> frozen_ = 0;
  std::atomic<int> thawed_ = 0;
  std::counting_semaphore<> thaw_{0};
};

TEST_F(DiskFreezeTest, AFreezeHasOneNumberUntilItsEnd) {
  DiskFreeze disk(Calls(), hours(1));
  EXPECT_EQ(disk.Thaw().value_or(-1), 0);
  EXPECT_EQ(disk.Freeze().value_or(-1), 1);
  EXPECT_EQ(disk.Freeze().value_or(-1), 1);
  EXPECT_EQ(frozen_, 1);
  EXPECT_EQ(disk.Thaw().value_or(-1), 1);
  EXPECT_EQ(disk.Thaw().value_or(-1), 0);
  EXPECT_EQ(disk.Freeze().value_or(-1), 2);
  EXPECT_EQ(thawed_, 1);
}

TEST_F(DiskFreezeTest, AForgottenFreezeEndsByItself) {
  DiskFreeze disk(Calls(), milliseconds(1));
  ASSERT_TRUE(disk.Freeze().ok());
  thaw_.acquire();
  EXPECT_EQ(disk.Thaw().value_or(-1), 0);
  EXPECT_EQ(thawed_, 1);
}

TEST_F(DiskFreezeTest, ADiskThatRefusesIsNotFrozen) {
  DiskFreeze disk(Calls(), hours(1));
  refused_ = true;
  const auto refused = disk.Freeze();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(disk.Thaw().value_or(-1), 0);
  EXPECT_EQ(thawed_, 0);
}

TEST_F(DiskFreezeTest, AGuestThatPowersOffIsThawedAndNotFrozenAgain) {
  DiskFreeze disk(Calls(), hours(1));
  ASSERT_TRUE(disk.Freeze().ok());
  disk.Close();
  EXPECT_EQ(thawed_, 1);
  const auto late = disk.Freeze();
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kWrongState);
  EXPECT_EQ(frozen_, 1);
}

TEST_F(DiskFreezeTest, BothQuestionsAreAnsweredWithTheNumber) {
  const auto disk = std::make_shared<DiskFreeze>(Calls(), hours(1));
  const auto answerers = FreezeAnswerers(disk);
  ASSERT_EQ(answerers.size(), 2U);
  EXPECT_EQ(answerers[0].question, wire::DiskFrozen::kQuestion);
  EXPECT_EQ(answerers[1].question, wire::DiskThawed::kQuestion);
  const auto frozen = answerers[0].answer({.channel = 3});
  ASSERT_TRUE(frozen.ok());
  EXPECT_EQ(frozen->channel, 3U);
  EXPECT_EQ(wire::ReadAnswer<wire::DiskFrozen>(*frozen).value_or(wire::DiskFrozen()).number, 1);
  const auto thawed = answerers[1].answer({.channel = 4});
  ASSERT_TRUE(thawed.ok());
  EXPECT_EQ(wire::ReadAnswer<wire::DiskThawed>(*thawed).value_or(wire::DiskThawed()).number, 1);
}

}  // namespace
}  // namespace pyro::agent
