#include "vmm/template.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "sys/file_lock.h"
#include "sys/test_directory.h"

namespace pyro::vmm {
namespace {

namespace fs = std::filesystem;

TEST(TemplateTest, WhatKilledMakersAndRemovalsLeftIsRemovedUnlessItIsHeld) {
  const sys::TestDirectory directory;
  const fs::path root = directory.path();
  for (const char* name : {".trash-a", ".trash-b", ".making-c", "d", ".trash-d"}) {
    fs::create_directory(root / name);
    std::ofstream(root / name / "memory") << "memory";
  }
  const auto held = sys::FileLock::TryAcquire(root / "b.lock");
  ASSERT_TRUE(held && *held);
  RemoveTemplateLeftovers(root);
  EXPECT_FALSE(fs::exists(root / ".trash-a"));
  EXPECT_FALSE(fs::exists(root / "a.lock"));
  EXPECT_TRUE(fs::exists(root / ".trash-b" / "memory")) << "another process is at it";
  EXPECT_FALSE(fs::exists(root / ".making-c"));
  EXPECT_FALSE(fs::exists(root / ".trash-d"));
  EXPECT_TRUE(fs::exists(root / "d" / "memory"));
  RemoveTemplateLeftovers(root / "absent");
}

}  // namespace
}  // namespace pyro::vmm
