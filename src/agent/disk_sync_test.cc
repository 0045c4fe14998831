#include "agent/disk_sync.h"

#include <poll.h>

#include <semaphore>

#include <gtest/gtest.h>

namespace pyro::agent {
namespace {

// A disk whose syncs begin and end when the test says so.
class DiskSyncTest : public ::testing::Test {
 protected:
  DiskSyncTest() {
    auto sync = DiskSync::Create([this] {
      began_.release();
      may_end_.acquire();
      ++syncs_;
      return result_;
    });
    sync_ = std::move(*sync);
  }
  ~DiskSyncTest() override { may_end_.release(10); }

  void WaitForEvent() {
    pollfd poll{sync_->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&poll, 1, 60'000), 1);
    sync_->Acknowledge();
    EXPECT_EQ(::poll(&poll, 1, 0), 0);
  }

  std::counting_semaphore<> began_{0};
  std::counting_semaphore<> may_end_{0};
  int syncs_ = 0;  // Read only when no sync runs.
  Status result_;
  std::unique_ptr<DiskSync> sync_;
};

TEST_F(DiskSyncTest, ARequestIsDoneWhenItsSyncIs) {
  const auto request = sync_->Request();
  began_.acquire();
  EXPECT_FALSE(sync_->Done(request));
  may_end_.release();
  WaitForEvent();
  EXPECT_TRUE(sync_->Done(request));
}

TEST_F(DiskSyncTest, RequestsDuringASyncShareTheNextOne) {
  const auto first = sync_->Request();
  began_.acquire();
  const auto second = sync_->Request();
  const auto third = sync_->Request();
  may_end_.release();
  WaitForEvent();
  EXPECT_TRUE(sync_->Done(first));
  began_.acquire();  // What was written before the second request may have missed the first sync.
  EXPECT_FALSE(sync_->Done(second));
  may_end_.release();
  WaitForEvent();
  EXPECT_TRUE(sync_->Done(second));
  EXPECT_TRUE(sync_->Done(third));
  EXPECT_EQ(syncs_, 2);
}

TEST_F(DiskSyncTest, AFailureCountsAsDone) {
  result_ = MakeError(ErrorCode::kInternal, "sync: input/output error");
  ::testing::internal::CaptureStderr();
  const auto request = sync_->Request();
  may_end_.release();
  WaitForEvent();
  EXPECT_TRUE(sync_->Done(request));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "pyro-agent: sync: input/output error\n");
}

TEST_F(DiskSyncTest, ItsEndWaitsForTheSyncThatRuns) {
  (void)sync_->Request();
  (void)sync_->Request();
  began_.acquire();
  may_end_.release();
  may_end_.release();
  sync_.reset();
  EXPECT_GE(syncs_, 1);
}

}  // namespace
}  // namespace pyro::agent
