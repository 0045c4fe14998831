#include "sys/data_ranges.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::sys {
namespace {

TEST(DataRanges, AreAllThatWasWrittenAndLittleMore) {
  constexpr off_t kPlace = 8 << 20;
  TestDirectory directory;
  const UniqueFd file(
      ::open((directory.path() / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(file.valid());
  ASSERT_EQ(::ftruncate(file.get(), 64 << 20), 0);
  ASSERT_EQ(::pwrite(file.get(), "middle", 6, kPlace), 6);
  ASSERT_EQ(::fsync(file.get()), 0);
  struct stat info {};
  ASSERT_EQ(::fstat(file.get(), &info), 0);
  const auto ranges = DataRanges(file.get(), info);
  if (!ranges) GTEST_SKIP() << "this file system does not tell where holes are";
  ASSERT_EQ(ranges->size(), 1U);
  EXPECT_LE(ranges->front().offset, kPlace);
  EXPECT_GE(ranges->front().offset + ranges->front().length, kPlace + 6);
  EXPECT_LT(ranges->front().length, 4 << 20);
}

TEST(DataRanges, AFileWithoutHolesHasNone) {
  TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomically(directory.path() / "file", std::string(100000, 'x')).ok());
  const auto file = OpenFile(directory.path() / "file", O_RDONLY);
  ASSERT_TRUE(file.ok());
  struct stat info {};
  ASSERT_EQ(::fstat(file->get(), &info), 0);
  EXPECT_FALSE(DataRanges(file->get(), info));
}

}  // namespace
}  // namespace pyro::sys
