#include "state/quota.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "state/test_support.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

class QuotaTest : public ::testing::Test {
 protected:
  Result<sys::FileLock> Reserve(const GuestLimits& limits, std::int64_t mib = 100) {
    return ReserveGuest(state_, "vm_a", mib, limits);
  }

  sys::TestDirectory directory_;
  const std::filesystem::path state_ = directory_.path() / "state";
};

TEST_F(QuotaTest, AGuestCountsWhileItsLockIsHeldAndNoLonger) {
  EXPECT_EQ(CountGuests(state_)->count, 0);
  {
    const auto one = Reserve({});
    const auto two = Reserve({}, 300);
    ASSERT_TRUE(one.ok() && two.ok());
    EXPECT_EQ(CountGuests(state_)->count, 2);
    EXPECT_EQ(CountGuests(state_)->memory_mib, 400);
  }
  EXPECT_EQ(CountGuests(state_)->count, 0);
  // The files of both are gone; the lock is what stays.
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(state_ / "guests")) {
    files += entry.path().filename() != "lock" ? 1 : 0;
  }
  EXPECT_EQ(files, 0U);
}

TEST_F(QuotaTest, TheLastRoomIsGivenOnceAndComesBack) {
  const GuestLimits limits{.guests = 2};
  auto one = Reserve(limits);
  const auto two = Reserve(limits);
  ASSERT_TRUE(one.ok() && two.ok());
  const auto three = Reserve(limits);
  ASSERT_FALSE(three.ok());
  EXPECT_EQ(three.error().code, ErrorCode::kLimit);
  EXPECT_NE(three.error().hint.find("limit.guests"), std::string::npos);
  { const auto ended = std::move(one); }
  EXPECT_TRUE(Reserve(limits).ok());
}

TEST_F(QuotaTest, MemoryCountsTogether) {
  const GuestLimits limits{.guest_memory_mib = 1000};
  const auto one = Reserve(limits, 600);
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(Reserve(limits, 401).error().code, ErrorCode::kLimit);
  EXPECT_TRUE(Reserve(limits, 400).ok());
}

TEST_F(QuotaTest, AKillLeavesNoReservation) {
  const GuestLimits limits{.guests = 1};
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = Reserve(limits);
    (void)!::write(ready[1], held.ok() ? "y" : "n", 1);
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_FALSE(Reserve(limits).ok());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(Reserve(limits).ok());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(QuotaTest, OfManyProcessesThatRaceNoMoreGetRoomThanThereIs) {
  constexpr int kProcesses = 24;
  const GuestLimits limits{.guests = 5, .guest_memory_mib = 450};
  int told[2];
  int go[2];
  ASSERT_EQ(::pipe(told), 0);
  ASSERT_EQ(::pipe(go), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(go[1]);
      char byte = 0;
      (void)!::read(go[0], &byte, 1);
      const auto held = Reserve(limits);
      (void)!::write(told[1], held.ok() ? "y" : "n", 1);
      ::pause();
      ::_exit(0);
    }
    children.push_back(child);
  }
  ::close(go[1]);
  int got = 0;
  for (int i = 0; i < kProcesses; ++i) {
    char answer = 0;
    ASSERT_EQ(::read(told[0], &answer, 1), 1);
    got += answer == 'y' ? 1 : 0;
  }
  EXPECT_EQ(got, 4);
  EXPECT_EQ(CountGuests(state_)->memory_mib, 400);
  for (const pid_t child : children) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  for (const int fd : {told[0], told[1], go[0]}) ::close(fd);
}

TEST_F(QuotaTest, FilesThatAreNoGuestsAreLeftAlone) {
  ASSERT_TRUE(Reserve({}).ok());
  for (const char* name : {"x", "vm_a.b.c", "vm_a.-1.c", "vm_a.1.c.d"}) {
    std::ofstream(state_ / "guests" / name) << "x";
  }
  EXPECT_EQ(CountGuests(state_)->count, 0);
  EXPECT_TRUE(std::filesystem::exists(state_ / "guests" / "vm_a.b.c"));
}

TEST_F(QuotaTest, LimitsAreReadAsTheyWereWrittenAndABrokenFileHasNone) {
  const GuestLimits limits{
      .guests = 3, .guest_memory_mib = 4, .tasks = 5, .free_disk_mib = 6, .host_memory_mib = 7};
  EXPECT_EQ(ReadGuestLimits(state_), GuestLimits());
  ASSERT_TRUE(WriteGuestLimits(state_, limits).ok());
  EXPECT_EQ(ReadGuestLimits(state_), limits);
  for (const char* text : {"", "{", "[]", "{\"guests\": -1}", "{\"guests\": 1}"}) {
    std::ofstream(state_ / "guests" / "limits.json") << text;
    EXPECT_EQ(ReadGuestLimits(state_), GuestLimits()) << text;
  }
}

TEST_F(QuotaTest, TheFloorOfTheDiskIsTheFileSystemsOwn) {
  const auto room = sys::FreeSpace(directory_.path());
  ASSERT_TRUE(room.ok());
  const auto mib = static_cast<std::int64_t>(*room >> 20);
  EXPECT_TRUE(CheckFreeDisk(directory_.path(), 0).ok());
  EXPECT_TRUE(CheckFreeDisk(directory_.path(), 1).ok() || mib < 1);
  const Status refused = CheckFreeDisk(directory_.path(), mib * 2 + 1024);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  EXPECT_NE(refused.error().hint.find("pyro gc"), std::string::npos);
  EXPECT_TRUE(CheckHostMemory(0).ok());
  EXPECT_EQ(CheckHostMemory(kMaxLimitMib).error().code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace pyro::state
