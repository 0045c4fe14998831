// Spares of a server: made once a client is there and the environment is installed, replaced when
// one is taken, and gone at its end.

#include "front/mcp/spare_keeper.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "base/time.h"
#include "engine/testing/engine_fixture.h"

namespace pyro::mcp_server {
namespace {

class SpareKeeperTest : public engine::EngineFixture {
 protected:
  SpareKeeperTest() { StartWarm(); }

  std::int64_t Waiting() {
    std::int64_t waiting = 0;
    const auto pools = engine_->ListSparePools();
    for (const SparePoolInfo& pool : *pools) waiting += pool.waiting;
    return waiting;
  }

  ::testing::AssertionResult Comes(std::int64_t waiting) {
    for (int i = 0; i < 6000 && Waiting() != waiting; ++i) ::usleep(10'000);
    if (Waiting() == waiting) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << Waiting() << " wait";
  }
};

TEST_F(SpareKeeperTest, OneWaitsOnceAClientIsThereAndEndsWithTheKeeper) {
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}));
  {
    SpareKeeper keeper(*engine_, 1);
    EXPECT_EQ(Waiting(), 0);
    keeper.Wake();
    ASSERT_TRUE(Comes(1));
    EXPECT_TRUE(engine_->ListSparePools()->at(0).expires_at.empty());
    const auto ran = engine_->RunInVm(Vm(), Shell("true"), 30);
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_EQ(ran->timings.start, "spare");
    EXPECT_TRUE(Comes(1));
    const auto task = engine_->CreateTask(Task());
    ASSERT_TRUE(task) << task.error().message;
    EXPECT_TRUE(Comes(1));
    EXPECT_TRUE(engine_->DeleteTask(task->task_id));
  }
  EXPECT_TRUE(engine_->ListSparePools()->empty());
  EXPECT_TRUE(std::filesystem::is_empty(state_ / "spares"));
}

TEST_F(SpareKeeperTest, NothingIsBuiltForThemAndACallThatBuiltIsNoticed) {
  SpareKeeper keeper(*engine_, 1);
  keeper.Wake();
  const auto ran = engine_->RunInVm(Vm(), Shell("true"), 30);
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_NE(ran->timings.start, "spare");
  EXPECT_FALSE(std::filesystem::exists(state_ / "spares"));
  keeper.Wake();
  EXPECT_TRUE(Comes(1));
}

TEST_F(SpareKeeperTest, NoneAreKeptIfNoneAreWanted) {
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}));
  {
    SpareKeeper keeper(*engine_, 0);
    keeper.Wake();
  }
  EXPECT_FALSE(std::filesystem::exists(state_ / "spares"));
}

TEST_F(SpareKeeperTest, OtherProcessesLeaveThemAlone) {
  ASSERT_TRUE(engine_->KeepOwnSpares(Vm(), 1));
  const auto others = engine_->KeepSpares(Vm(), 0);
  ASSERT_TRUE(others) << others.error().message;
  EXPECT_EQ(Waiting(), 1);
  const pid_t other = ::fork();
  if (other == 0) {
    const auto ran = engine_->RunInVm(Vm(), Shell("true"), 30);
    ::_exit(ran && ran->timings.start != "spare" ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Waiting(), 1);
  ASSERT_TRUE(engine_->KeepOwnSpares(Vm(), 0));
  EXPECT_EQ(Waiting(), 0);
}

TEST_F(SpareKeeperTest, TheyEndWithAProcessThatIsKilled) {
  const pid_t server = ::fork();
  if (server == 0) {
    const bool kept = engine_->KeepOwnSpares(Vm(), 2).ok() && Waiting() == 2;
    if (!kept) ::_exit(1);
    ::raise(SIGKILL);
  }
  int status = -1;
  // Before its end is collected: one that has ended counts as gone.
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(server), &info, WEXITED | WNOWAIT), 0);
  ASSERT_EQ(info.si_code, CLD_KILLED);
  EXPECT_TRUE(Comes(0));
  for (int i = 0; i < 6000 && !std::filesystem::is_empty(state_ / "spares"); ++i) ::usleep(10'000);
  EXPECT_TRUE(std::filesystem::is_empty(state_ / "spares"));
  ASSERT_EQ(::waitpid(server, &status, 0), server);
}

TEST_F(SpareKeeperTest, OfTwoKindsTheLastIsKept) {
  ASSERT_TRUE(engine_->KeepOwnSpares(Vm(), 1));
  VmOptions other = Vm();
  other.mem_mib = 512;
  ASSERT_TRUE(engine_->KeepOwnSpares(other, 1));
  const auto pools = engine_->ListSparePools();
  ASSERT_EQ(pools->size(), 1u);
  EXPECT_EQ(pools->at(0).mem_mib, 512);
  EXPECT_EQ(pools->at(0).waiting, 1);
  ASSERT_TRUE(engine_->KeepOwnSpares(other, 0));
}

}  // namespace
}  // namespace pyro::mcp_server
