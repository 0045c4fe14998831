// When a lease begins, what holds it, and when it ends.

#include "supervisor/lease.h"

#include <unistd.h>

#include <chrono>
#include <functional>
#include <optional>

#include <gtest/gtest.h>

#include "supervisor/testing/supervisor_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

class LeaseTest : public SupervisorFixture, public Lease::Guest {
 protected:
  LeaseTest() {
    config_.ttl = 60s;
    config_.kind = wire::GuestKind::kTask;
  }

  Lease& Begin() {
    spare_.emplace(config_, record_, timers_, helpers_);
    lease_.emplace(loop_, config_, record_, *spare_, timers_, *this);
    lease_->Begin();
    if (ready_) lease_->GuestIsReady();
    return *lease_;
  }

  bool idle_ = true;
  bool ready_ = true;
  int over_ = 0;        // It was stopped.
  int owner_gone_ = 0;  // It was removed.
  std::optional<Spare> spare_;
  std::optional<Lease> lease_;

  // Its creator goes, first without and then after `then`.
  void ExpectToEndWithItsCreatorUnless(const std::function<void(Lease&)>& then) {
    for (const bool happens : {false, true}) {
      owner_gone_ = 0;
      Lease& lease = Begin();
      int ends[2];
      ASSERT_EQ(::pipe(ends), 0);
      lease.WatchCreator(sys::UniqueFd(ends[0]));
      if (happens) then(lease);
      ::close(ends[1]);
      Run();
      EXPECT_EQ(owner_gone_, happens ? 0 : 1);
    }
  }

 private:
  bool Idle() const override { return idle_; }
  void Stop(bool remove) override { ++(remove ? owner_gone_ : over_); }
};

TEST_F(LeaseTest, EndsAfterItsTimeWithoutUse) {
  Lease& lease = Begin();
  Pass(59s);
  lease.Used();
  EXPECT_EQ(record_.Count("renewed"), 1);
  Pass(59s);
  EXPECT_EQ(over_, 0);
  Pass(1s);
  EXPECT_EQ(over_, 1);
  EXPECT_EQ(owner_gone_, 0);
}

TEST_F(LeaseTest, IsNotWrittenToARowInWhichACommandsRecordHasBegunItAgain) {
  Lease& lease = Begin();
  Pass(59s);
  lease.Used(/*recorded=*/true);
  EXPECT_EQ(record_.Count("renewed"), 0);
  Pass(59s);
  EXPECT_EQ(over_, 0);
  Pass(1s);
  EXPECT_EQ(over_, 1);
}

TEST_F(LeaseTest, AnotherLengthInTheRowCountsOnceAClientHasGreeted) {
  Lease& lease = Begin();
  lease.ClientGreeted(1);
  record_.lease_now = 600s;
  Pass(59s);
  lease.ClientGreeted(2);
  Pass(599s);
  EXPECT_EQ(over_, 0);
  record_.lease_now = 10s;
  lease.ClientGreeted(3);
  Pass(9s);
  EXPECT_EQ(over_, 0);
  lease.ClientGreeted(4);  // The same length does not begin again.
  Pass(1s);
  EXPECT_EQ(over_, 1);
}

TEST_F(LeaseTest, IsHeldByACommandAndByAStart) {
  ready_ = false;
  Lease& lease = Begin();
  Pass(200s);
  EXPECT_EQ(over_, 0);
  lease.GuestIsReady();
  idle_ = false;
  Pass(200s);
  EXPECT_EQ(over_, 0);
  idle_ = true;
  Pass(60s);
  EXPECT_EQ(over_, 1);
}

TEST_F(LeaseTest, AVmIsRemovedAtItsEnd) {
  config_.kind = wire::GuestKind::kVm;
  Begin();
  Pass(60s);
  EXPECT_EQ(over_, 0);
  EXPECT_EQ(owner_gone_, 1);
}

TEST_F(LeaseTest, AStartThatTheRecordShowsBeginsItAgainWithoutASecondRecord) {
  ready_ = false;
  Lease& lease = Begin();
  Pass(59s);
  lease.GuestIsReady();
  EXPECT_TRUE(record_.notes.empty());
  Pass(59s);
  EXPECT_EQ(over_, 0);
}

TEST_F(LeaseTest, AnOwnerThatDoesNotComeInThirtySecondsIsGone) {
  config_.dies_with_first_client = true;
  Lease& lease = Begin();
  lease.Used();          // A stranger's command is no reason to wait longer,
  lease.GuestIsReady();  // nor is the end of the start.
  Pass(30s);
  EXPECT_EQ(owner_gone_, 1);
}

TEST_F(LeaseTest, TheFirstClientThatGreetsIsTheOwnerAndTakesTheGuestAlong) {
  config_.dies_with_first_client = true;
  Lease& lease = Begin();
  EXPECT_TRUE(lease.awaits_owner());
  lease.ClientGreeted(1);
  lease.ClientGreeted(2);
  EXPECT_FALSE(lease.awaits_owner());
  Pass(59s);
  EXPECT_EQ(owner_gone_, 0);
  lease.ClientGone(2);
  EXPECT_EQ(owner_gone_, 0);
  lease.ClientGone(1);
  EXPECT_EQ(owner_gone_, 1);
  EXPECT_TRUE(record_.notes.empty()) << "a lease in a row that no process reads";
}

TEST_F(LeaseTest, OnlyWhileATaskIsBeingMadeItEndsWithItsMaker) {
  record_.creating = true;
  Lease& lease = Begin();
  lease.ClientGreeted(1);
  record_.creating = false;
  lease.ClientGone(1);
  EXPECT_EQ(owner_gone_, 0);
  record_.creating = true;
  lease.ClientGone(1);
  EXPECT_EQ(owner_gone_, 1);
}

TEST_F(LeaseTest, ACreatorThatEndsCountsOnlyUntilAnOwnerHasCome) {
  config_.dies_with_first_client = true;
  ExpectToEndWithItsCreatorUnless([](Lease& lease) { lease.ClientGreeted(1); });
}

TEST_F(LeaseTest, ASpareWaitsAsLongAsItsPoolAndThenEndsWithTheClientThatClaimedIt) {
  config_.kind = wire::GuestKind::kVm;
  config_.spare_pool = directory_.path();
  record_.waits_for = 1000s;
  Lease& lease = Begin();
  lease.Used();
  Pass(1000s);
  EXPECT_EQ(over_, 0);
  spare_->Claim();
  lease.Claimed(7, 300s, false);
  EXPECT_TRUE(lease.ends_with_client());
  Pass(299s);
  EXPECT_EQ(owner_gone_, 0);
  Pass(1s);
  EXPECT_EQ(owner_gone_, 1);
  lease.ClientGone(7);
  EXPECT_EQ(owner_gone_, 2);
  EXPECT_EQ(over_, 0);
}

TEST_F(LeaseTest, ASpareThatWaitsEndsWithTheProcessThatItIsKeptFor) {
  config_.kind = wire::GuestKind::kVm;
  config_.spare_pool = directory_.path();
  ExpectToEndWithItsCreatorUnless([this](Lease& lease) {
    spare_->Claim();
    lease.Claimed(7, 300s, false);
  });
}

TEST_F(LeaseTest, ASpareThatIsATasksIsStoppedAtItsEndAndGoesWithAMakerThatIsNotDone) {
  config_.kind = wire::GuestKind::kVm;
  config_.spare_pool = directory_.path();
  Lease& lease = Begin();
  EXPECT_TRUE(spare_->ClaimForTask("task", {}, std::nullopt).ok());
  lease.Claimed(7, 300s, true);
  EXPECT_FALSE(lease.ends_with_client());
  EXPECT_EQ(record_.Count("renewed"), 0);
  lease.ClientGone(7);
  EXPECT_EQ(owner_gone_, 1);
  record_.creating = false;
  lease.ClientGone(7);
  EXPECT_EQ(owner_gone_, 1);
  Pass(300s);
  EXPECT_EQ(over_, 1);
  EXPECT_EQ(owner_gone_, 1);
}

TEST_F(LeaseTest, NothingIsWaitedForAfterItsEnd) {
  Lease& lease = Begin();
  lease.End();
  EXPECT_EQ(timers_.waiting(), 0u);
  EXPECT_TRUE(Over());
}

}  // namespace
}  // namespace pyro::supervisor
