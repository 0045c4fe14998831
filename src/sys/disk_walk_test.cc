#include "sys/disk_walk.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::sys {
namespace {

namespace fs = std::filesystem;

void Write(const fs::path& file, std::size_t bytes) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << std::string(bytes, 'x') << std::flush;
  const auto written = OpenFile(file, O_RDONLY);
  ASSERT_TRUE(written.ok());
  ::fsync(written->get());  // Some file systems place the blocks late.
}

TEST(DiskWalkTest, AFileWithSeveralNamesCountsOnce) {
  const TestDirectory directory;
  Write(directory.path() / "a" / "file", 1 << 20);
  fs::create_directory(directory.path() / "b");
  fs::create_hard_link(directory.path() / "a" / "file", directory.path() / "b" / "again");
  DiskWalk walk;
  EXPECT_GE(walk.Add(directory.path() / "a"), 1U << 20);
  EXPECT_LT(walk.Add(directory.path() / "b"), 1U << 20);
  EXPECT_GE(DiskWalk().Add(directory.path() / "b"), 1U << 20);
}

TEST(DiskWalkTest, HolesAndWhatLinksLeadToCountNothing) {
  const TestDirectory directory;
  Write(directory.path() / "outside", 1 << 20);
  fs::create_directory(directory.path() / "tree");
  fs::create_symlink("../outside", directory.path() / "tree" / "link");
  std::ofstream(directory.path() / "tree" / "sparse") << "x";
  fs::resize_file(directory.path() / "tree" / "sparse", 1ULL << 30);
  EXPECT_LT(DiskWalk().Add(directory.path() / "tree"), 1U << 20);
  EXPECT_EQ(DiskUsage(directory.path() / "nothing"), 0U);
}

TEST(DiskWalkTest, WhatOthersRemoveMeanwhileHidesNothing) {
  const TestDirectory directory;
  Write(directory.path() / "z" / "stays", 1 << 20);
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) {
      const fs::path tree = directory.path() / "m" / "n" / "o";
      std::error_code error;
      fs::create_directories(tree, error);
      std::ofstream(tree / "file") << "x";
      fs::remove_all(directory.path() / "m", error);
    }
  });
  for (int i = 0; i < 300; ++i) EXPECT_GE(DiskWalk().Add(directory.path()), 1U << 20);
  done = true;
  other.join();
}

}  // namespace
}  // namespace pyro::sys
