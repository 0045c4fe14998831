#include "state/pool/spare_pool.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/json.h"
#include "sys/file_lock.h"
#include "sys/files.h"
#include "sys/process_ref.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr char kSpare[] = "vm_aaaaaaaaaaaaaaaaaaaaaaaaaa";
constexpr char kOther[] = "vm_bbbbbbbbbbbbbbbbbbbbbbbbbb";

class SparePoolTest : public ::testing::Test {
 protected:
  SparePoolTest() {
    pool_.directory = SparePoolsDirectory(state_) / "0123";
    pool_.environment = "debian:12";
    pool_.environment_digest = "ab";
    pool_.count = 2;
    pool_.mem_mib = 512;
    pool_.network = true;
    pool_.ttl = seconds(60);
    pool_.blank = "/blank.img";
    pool_.guest = "{\"a\": 1}";
    fs::create_directories(pool_.directory);
    EXPECT_TRUE(WriteSparePool(pool_));
  }

  fs::path MakeSpare(const char* name) {
    fs::create_directories(pool_.directory / name);
    return pool_.directory / name;
  }

  sys::TestDirectory directory_;
  fs::path state_ = directory_.path();
  SparePool pool_;
};

TEST_F(SparePoolTest, WhatWasWrittenIsRead) {
  const auto pools = ListSparePools(state_);
  ASSERT_EQ(pools.size(), 1u);
  EXPECT_EQ(pools[0].directory, pool_.directory);
  EXPECT_EQ(pools[0].environment, "debian:12");
  EXPECT_EQ(pools[0].count, 2);
  EXPECT_EQ(pools[0].mem_mib, 512);
  EXPECT_TRUE(pools[0].network);
  EXPECT_EQ(pools[0].ttl, seconds(60));
  EXPECT_EQ(pools[0].blank, "/blank.img");
  EXPECT_EQ(pools[0].guest, "{\"a\": 1}");
}

TEST_F(SparePoolTest, TheTextOfFormatOneStays) {
  constexpr char kText[] = R"({
  "blank": "/blank.img",
  "count": 2,
  "environment": "debian:12",
  "environment_digest": "ab",
  "format": 1,
  "guest": "{\"a\": 1}",
  "mem_mib": 512,
  "network": true,
  "ttl_seconds": 60,
  "vcpu_count": 1
}
)";
  EXPECT_EQ(*sys::ReadFile(pool_.directory / "pool.json", 4096), kText);
}

TEST_F(SparePoolTest, ADamagedPoolIsAnErrorAndNotListed) {
  for (const char* text : {"", "{", "[]", "{\"format\": 2}", "{\"format\": 1, \"count\": -1}"}) {
    std::ofstream(pool_.directory / "pool.json") << text;
    EXPECT_FALSE(ReadSparePool(pool_.directory)) << text;
    EXPECT_TRUE(ListSparePools(state_).empty()) << text;
  }
}

TEST_F(SparePoolTest, OnlySparesWithAnOwnerSurvive) {
  const fs::path alive = MakeSpare(kSpare);
  const fs::path dead = MakeSpare(kOther);
  const auto lock = sys::FileLock::TryAcquire(alive / "lock");
  ASSERT_TRUE(lock && *lock);
  EXPECT_EQ(ClearDeadSpares(pool_.directory), 1);
  EXPECT_EQ(ListSpares(pool_.directory), std::vector<fs::path>{alive});
  MarkSpareTaken(alive);
  EXPECT_EQ(ClearDeadSpares(pool_.directory), 0);
  EXPECT_TRUE(fs::exists(alive));
}

TEST_F(SparePoolTest, ASpareWhoseLockGivesNoAnswerIsLeftAlone) {
  const fs::path spare = MakeSpare(kSpare);
  std::ofstream(spare / "data.img") << "work";
  fs::create_directory(spare / "lock");  // It cannot be opened for writing, not even by root.
  EXPECT_EQ(ClearDeadSpares(pool_.directory), 1);
  EXPECT_TRUE(fs::exists(spare / "data.img"));
}

TEST_F(SparePoolTest, ATaskOfASpareHasItsId) {
  EXPECT_EQ(TaskOfSpare(pool_.directory / kSpare).str(), "task_aaaaaaaaaaaaaaaaaaaaaaaaaa");
}

TEST_F(SparePoolTest, APoolInUseByAnotherIsLeftAlone) {
  const fs::path dead = MakeSpare(kSpare);
  const auto lock = sys::FileLock::TryAcquire(SparePoolLock(pool_.directory));
  ASSERT_TRUE(lock && *lock);
  ReapSpares(state_, WallTime::max());
  EXPECT_TRUE(fs::exists(dead));
}

TEST_F(SparePoolTest, APoolGoesWhenItsTimeIsOverAndNoSpareIsLeft) {
  const WallTime expiry = SparePoolExpiry(pool_);
  ReapSpares(state_, expiry - seconds(30));
  EXPECT_TRUE(fs::exists(pool_.directory));
  const fs::path spare = MakeSpare(kSpare);
  {
    const auto lock = sys::FileLock::TryAcquire(spare / "lock");
    ASSERT_TRUE(lock && *lock);
    ReapSpares(state_, expiry + seconds(1));
    EXPECT_TRUE(fs::exists(spare));
  }
  ReapSpares(state_, expiry + seconds(1));
  EXPECT_FALSE(fs::exists(pool_.directory));
}

TEST_F(SparePoolTest, APoolThatIsKeptForAProcessGoesWithIt) {
  const pid_t keeper = ::fork();
  if (keeper == 0) {
    ::pause();
    ::_exit(0);
  }
  EXPECT_FALSE(OpenKeeper(pool_)->valid());
  pool_.keeper = ToJsonLine(sys::ProcessRef::Of(keeper)->ToJson());
  EXPECT_TRUE(WriteSparePool(pool_));
  EXPECT_EQ(ReadSparePool(pool_.directory)->keeper, pool_.keeper);
  EXPECT_TRUE(OpenKeeper(pool_)->valid());
  ReapSpares(state_, SparePoolExpiry(pool_) - seconds(30));
  EXPECT_TRUE(fs::exists(pool_.directory));
  ::kill(keeper, SIGKILL);
  // Its parent has not asked for its end yet.
  siginfo_t ignored{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(keeper), &ignored, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(OpenKeeper(pool_).error().code, ErrorCode::kNotFound);
  ASSERT_EQ(::waitpid(keeper, nullptr, 0), keeper);
  EXPECT_EQ(OpenKeeper(pool_).error().code, ErrorCode::kNotFound);
  ReapSpares(state_, SparePoolExpiry(pool_) - seconds(30));
  EXPECT_FALSE(fs::exists(pool_.directory));
}

TEST_F(SparePoolTest, WhatAKilledRemovalLeftIsNoPoolAndGoes) {
  const fs::path gone = pool_.directory.parent_path() / ".gone-0123";
  fs::rename(pool_.directory, gone);
  EXPECT_TRUE(ListSparePools(state_).empty());
  ReapSpares(state_, WallTime());
  EXPECT_FALSE(fs::exists(gone));
}

TEST_F(SparePoolTest, ALinkIsNoSpare) {
  fs::create_directories(directory_.path() / "elsewhere");
  fs::create_directory_symlink(directory_.path() / "elsewhere", pool_.directory / kSpare);
  EXPECT_EQ(ClearDeadSpares(pool_.directory), 0);
  EXPECT_TRUE(ListSpares(pool_.directory).empty());
  EXPECT_TRUE(fs::exists(directory_.path() / "elsewhere"));
}

}  // namespace
}  // namespace pyro::state
