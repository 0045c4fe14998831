#include "sys/extents.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/sparse_copy.h"
#include "sys/test_directory.h"

namespace pyro::sys {
namespace {

TEST(Extents, WhatSeveralHaveCountsOnce) {
  EXPECT_EQ(BytesOfAll({}), 0U);
  EXPECT_EQ(BytesOfAll({{4096, 8192, true}, {4096, 8192, true}}), 8192U);
  // The second begins in the first, the third lies in both, the fourth stands alone.
  EXPECT_EQ(BytesOfAll({{4096, 8192}, {8192, 8192}, {8192, 4096}, {40960, 4096}}), 16384U);
}

TEST(Extents, WhatIsNotPlacedYetIsNoOthers) {
  EXPECT_EQ(BytesOfAll({{0, 4096}, {0, 4096}, {4096, 4096}}), 12288U);
}

TEST(Extents, AHoleTakesNothingAndDataDoes) {
  const TestDirectory directory;
  const auto path = directory.path() / "file";
  const auto file = OpenFile(path, O_RDWR | O_CREAT);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::ftruncate(file->get(), 64 << 20), 0);
  const auto none = ExtentsOf(*file);
  if (!none) GTEST_SKIP() << none.error().message;
  EXPECT_EQ(BytesOfAll(*none), 0U);
  const std::string data(1 << 20, 'x');
  ASSERT_EQ(::pwrite(file->get(), data.data(), data.size(), 8 << 20), 1 << 20);
  ASSERT_EQ(::fsync(file->get()), 0);
  const auto some = ExtentsOf(*file);
  ASSERT_TRUE(some.ok()) << some.error().message;
  EXPECT_GE(BytesOfAll(*some), std::uint64_t{1} << 20);
  EXPECT_LT(BytesOfAll(*some), std::uint64_t{4} << 20);
}

}  // namespace
}  // namespace pyro::sys
