#include "sys/sparse_copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::sys {
namespace {

TEST(CloneSparse, TheCopyIsEqualPrivateAndSparse) {
  TestDirectory directory;
  const auto source = directory.path() / "source";
  std::ofstream(source).close();
  ASSERT_EQ(::truncate(source.c_str(), 64 << 20), 0);
  std::fstream file(source);
  file.seekp(20 << 20) << "in the middle";
  file.close();
  const auto clone = CloneSparse(source, directory.path() / "clone");
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
  const auto again = CloneSparse(source, directory.path() / "clone");
  ASSERT_FALSE(again);
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "clone"));
}

TEST(CopySparse, NothingIsLeftOfWhatWasThere) {
  TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomically(directory.path() / "from", "new").ok());
  ASSERT_TRUE(WriteFileAtomically(directory.path() / "to", "old and longer").ok());
  const auto from = OpenFile(directory.path() / "from", O_RDONLY);
  const auto to = OpenFile(directory.path() / "to", O_RDWR);
  ASSERT_TRUE(from.ok() && to.ok());
  const Status copied = CopySparse(*from, *to);
  ASSERT_TRUE(copied.ok()) << copied.error().message;
  EXPECT_EQ(*ReadFile(directory.path() / "to", 100), "new");
}

}  // namespace
}  // namespace pyro::sys
