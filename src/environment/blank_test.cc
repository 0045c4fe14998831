#include "environment/blank.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "environment/testing/fake_tools.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::environment {
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

TEST(Blank, CloneIsEqualPrivateAndSparse) {
  sys::TestDirectory directory;
  const auto source = directory.path() / "source";
  std::ofstream(source).close();
  ASSERT_EQ(::truncate(source.c_str(), 64 << 20), 0);
  std::fstream file(source);
  file.seekp(20 << 20) << "in the middle";
  file.close();
  const auto clone = CloneBlank(source, directory.path() / "clone");
  ASSERT_TRUE(clone) << clone.error().message;
  struct stat info {};
  ASSERT_EQ(::fstat(clone->get(), &info), 0);
  EXPECT_EQ(info.st_size, 64 << 20);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_LT(info.st_blocks * 512, 4 << 20);
  char text[14] = {};
  ASSERT_EQ(::pread(clone->get(), text, 13, 20 << 20), 13);
  EXPECT_STREQ(text, "in the middle");
  ASSERT_EQ(::pwrite(clone->get(), "x", 1, 0), 1);
  std::ifstream original(source);
  EXPECT_EQ(original.get(), '\0');
  const auto again = CloneBlank(source, directory.path() / "clone");
  ASSERT_FALSE(again);
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "clone"));
}

}  // namespace
}  // namespace pyro::environment
