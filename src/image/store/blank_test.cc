#include "image/store/blank.h"

#include <gtest/gtest.h>

#include "image/testing/fake_tools.h"
#include "sys/disk_walk.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

constexpr std::uint64_t kSize = 1ULL << 30;

TEST(Blank, IsASoundSparseExt4) {
  sys::TestDirectory directory;
  const auto blank = EnsureBlankDisk(directory.path(), kSize);
  ASSERT_TRUE(blank) << blank.error().message;
  EXPECT_EQ(std::filesystem::file_size(*blank), kSize);
  EXPECT_LT(sys::DiskUsage(*blank), 2U << 20);
  EXPECT_TRUE(Capture({}, {"e2fsck", "-f", "-n", *blank}));
  EXPECT_EQ(EnsureBlankDisk(directory.path(), kSize).value(), *blank);
}

TEST(Blank, RefusesSizesOutsideItsLimits) {
  sys::TestDirectory directory;
  for (const std::uint64_t size :
       {std::uint64_t{0}, kMinBlankBytes - 1, kMinBlankBytes + 1, 2 * kMaxBlankBytes}) {
    const auto blank = EnsureBlankDisk(directory.path(), size);
    ASSERT_FALSE(blank);
    EXPECT_EQ(blank.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Blank, AFailedMake2fsLeavesNothing) {
  sys::TestDirectory directory;
  FakeTools tools(directory.path());
  tools.Add("mke2fs", "echo 'mke2fs: No space left on device' >&2; exit 1");
  const auto blank = EnsureBlankDisk(directory.path(), kSize, tools.paths());
  ASSERT_FALSE(blank);
  EXPECT_EQ(blank.error().code, ErrorCode::kNoSpace);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path() / "blank"));
}

}  // namespace
}  // namespace pyro::image
