#include "agent/data_disk.h"

#include <cerrno>

#include <gtest/gtest.h>

#include "sys/errno_error.h"

namespace pyro::agent {
namespace {

// Its tries end as the test says.
class DataDiskTest : public ::testing::Test {
 protected:
  static constexpr int kNoDirectory = -1;

  static Status Ended(int number) {
    return number == 0 ? OkStatus() : Status(sys::ErrnoError(number, "write", "data disk"));
  }
  // The error of a sync; 0: it went well.
  int Sync(int sync_error, int check_error) {
    sync_error_ = sync_error;
    check_error_ = check_error;
    const Status synced = disk_.Sync(kNoDirectory);
    return synced ? 0 : synced.error().sys_errno;
  }

  int sync_error_ = 0;
  int check_error_ = 0;
  DataDisk disk_{[this](int) { return Ended(sync_error_); },
                 [this](int) { return Ended(check_error_); }};
};

TEST_F(DataDiskTest, AnErrorOfASyncLasts) {
  for (const int number : {EIO, ENOSPC, ENOMEM}) {
    DataDisk disk{[&](int) { return Ended(sync_error_); }, [](int) { return OkStatus(); }};
    EXPECT_TRUE(disk.Sync(kNoDirectory));
    sync_error_ = number;
    EXPECT_FALSE(disk.Sync(kNoDirectory));
    sync_error_ = 0;
    const Status later = disk.Sync(kNoDirectory);
    ASSERT_FALSE(later) << number;
    EXPECT_EQ(later.error().sys_errno, number);
  }
}

TEST_F(DataDiskTest, ADiskThatTakesNoChangesDoesNotTakeThemLater) {
  EXPECT_EQ(Sync(0, EROFS), EROFS);
  EXPECT_EQ(Sync(EIO, 0), EROFS);
  EXPECT_EQ(Sync(0, 0), EROFS);
}

TEST_F(DataDiskTest, AnErrorThatIsNotTheDisksPasses) {
  EXPECT_EQ(Sync(0, ENOMEM), ENOMEM);
  EXPECT_EQ(Sync(0, 0), 0);
  EXPECT_EQ(Sync(0, EIO), EIO);
  EXPECT_EQ(Sync(0, ENOMEM), EIO);
}

TEST_F(DataDiskTest, ASyncOfNoDirectoryIsNoSuccess) {
  DataDisk disk;
  EXPECT_FALSE(disk.Sync(kNoDirectory));
}

}  // namespace
}  // namespace pyro::agent
