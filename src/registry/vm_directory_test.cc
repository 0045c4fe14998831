#include "registry/vm_directory.h"

#include <algorithm>
#include <optional>

#include <gtest/gtest.h>

#include "registry/test_support.h"
#include "sys/test_directory.h"

namespace pyro::registry {
namespace {

namespace fs = std::filesystem;

TEST(VmDirectoryTest, IsMadeLockedAndForTheOwnerOnly) {
  const sys::TestDirectory state;
  const InstanceId id = TestId(1);
  auto lock = CreateVmDirectory(state.path(), id);
  ASSERT_TRUE(lock.ok()) << lock.error().message;
  EXPECT_EQ(fs::status(VmDirectory(state.path(), id)).permissions(), fs::perms(0700));
  const auto other = sys::FileLock::TryAcquire(VmLock(state.path(), id));
  ASSERT_TRUE(other.ok());
  EXPECT_FALSE(other->has_value());
  EXPECT_FALSE(CreateVmDirectory(state.path(), id).ok());
}

TEST(VmDirectoryTest, RemovalIsIdempotentAndTakesEverything) {
  const sys::TestDirectory state;
  const InstanceId id = TestId(1);
  const auto lock = CreateVmDirectory(state.path(), id);
  ASSERT_TRUE(lock.ok());
  fs::create_directories(VmDirectory(state.path(), id) / "a/b");
  EXPECT_TRUE(RemoveVmDirectory(state.path(), id).ok());
  EXPECT_TRUE(fs::is_empty(VmsDirectory(state.path())));
  EXPECT_TRUE(RemoveVmDirectory(state.path(), id).ok());
}

TEST(VmDirectoryTest, LeftoversHaveNeitherARowNorAHolder) {
  const sys::TestDirectory state;
  EXPECT_TRUE(LeftoverDirectories(state.path(), {})->empty());  // Nothing was ever made.

  const auto held = CreateVmDirectory(state.path(), TestId(1));
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(CreateVmDirectory(state.path(), TestId(2)).ok());  // Its lock is let go at once.
  ASSERT_TRUE(CreateVmDirectory(state.path(), TestId(3)).ok());
  const fs::path no_lock_yet = VmDirectory(state.path(), TestId(4));
  const fs::path half_removed = VmsDirectory(state.path()) / (".gone-" + TestId(5).str());
  const fs::path not_ours = VmsDirectory(state.path()) / "notes";
  for (const auto& path : {no_lock_yet, half_removed, not_ours}) fs::create_directory(path);

  auto leftovers = LeftoverDirectories(state.path(), {TestId(2)});
  ASSERT_TRUE(leftovers.ok()) << leftovers.error().message;
  std::vector<fs::path> expected = {VmDirectory(state.path(), TestId(3)), no_lock_yet,
                                    half_removed};
  std::sort(leftovers->begin(), leftovers->end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(*leftovers, expected);
}

}  // namespace
}  // namespace pyro::registry
