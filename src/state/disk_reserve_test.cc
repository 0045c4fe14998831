#include "state/disk_reserve.h"

#include <gtest/gtest.h>

#include "sys/disk_walk.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

TEST(DiskReserveTest, TakesRoomGivesItBackAndTakesItAgain) {
  const sys::TestDirectory task;
  const std::uint64_t before = sys::DiskUsage(task.path());
  DiskReserve reserve(task.path());
  EXPECT_FALSE(reserve.full());
  EXPECT_FALSE(reserve.Release());
  ASSERT_TRUE(reserve.Fill());
  ASSERT_TRUE(reserve.Fill());
  EXPECT_TRUE(reserve.full());
  EXPECT_GE(sys::DiskUsage(task.path()), before + kDiskReserveBytes);
  // The next supervisor finds it.
  EXPECT_TRUE(DiskReserve(task.path()).full());
  EXPECT_TRUE(reserve.Release());
  EXPECT_FALSE(reserve.Release());
  EXPECT_LT(sys::DiskUsage(task.path()), before + kDiskReserveBytes);
  EXPECT_FALSE(DiskReserve(task.path()).full());
  EXPECT_TRUE(reserve.Fill());
}

TEST(DiskReserveTest, WhereThereIsNoDirectoryThereIsNoReserve) {
  const sys::TestDirectory task;
  DiskReserve reserve(task.path() / "gone");
  EXPECT_FALSE(reserve.Fill());
  EXPECT_FALSE(reserve.full());
}

}  // namespace
}  // namespace pyro::state
