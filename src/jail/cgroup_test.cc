#include "jail/cgroup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "sys/child_process.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::jail {
namespace {

namespace fs = std::filesystem;

// Directories that look like groups.
class CgroupTreeTest : public testing::Test {
 protected:
  void Group(const std::string& below, const std::string& gives) {
    const fs::path path = directory_.path() / below;
    fs::create_directories(path);
    std::ofstream(path / "cgroup.subtree_control") << gives << "\n";
    std::ofstream(path / "cgroup.procs") << "";
  }
  fs::path Find(std::string_view own) { return DelegatedGroup(directory_.path(), own); }

  sys::TestDirectory directory_;
};

TEST_F(CgroupTreeTest, TheNearestThatGivesMemoryAndProcessesIsTaken) {
  Group("", "cpu memory pids");
  Group("user", "cpu memory pids");
  Group("user/app", "memory pids");
  Group("user/app/scope", "");
  EXPECT_EQ(Find("4:memory:/x\n0::/user/app/scope\n"), directory_.path() / "user/app");
  EXPECT_EQ(Find("0::/user\n"), directory_.path() / "user");
  EXPECT_EQ(Find("0::/\n"), directory_.path());
}

TEST_F(CgroupTreeTest, ThereIsNoneWithoutBothOrInVersion1) {
  Group("", "cpu");
  Group("user", "memory pidsx");
  EXPECT_EQ(Find("0::/user\n"), fs::path());
  EXPECT_EQ(Find("4:memory:/user\n"), fs::path());
  EXPECT_EQ(Find(""), fs::path());
}

TEST_F(CgroupTreeTest, ItsBoundsAreWrittenAndALeftOneIsRemoved) {
  fs::create_directory(directory_.path() / "pyro-jail-1-1");
  fs::create_directory(directory_.path() / "another");
  // The kernel makes the files of a group; here there are none to write to.
  EXPECT_FALSE(Cgroup::Make(directory_.path(), {.memory_bytes = 4096}));
  EXPECT_FALSE(Cgroup::Make({}, {.memory_bytes = 4096}));
  EXPECT_FALSE(fs::exists(directory_.path() / "pyro-jail-1-1"));
  EXPECT_TRUE(fs::exists(directory_.path() / "another"));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_.path()), fs::directory_iterator()), 1);
}

// tests/vm/test_escapes.py runs it in a guest: a host may have given this user none.
TEST(CgroupTest, TheKernelEndsAProcessAtTheBoundAndSaysSo) {
  const fs::path parent = DelegatedGroup();
  if (parent.empty()) GTEST_SKIP() << "no control group of version 2 is given to this user";
  fs::path path;
  {
    auto group = Cgroup::Make(
        parent, {.memory_bytes = 64 << 20, .processes = 20, .cpu_percent = 50, .niceness = 5});
    ASSERT_TRUE(group);
    path = group->path();
    EXPECT_EQ(*sys::ReadFile(path / "memory.max", 64), "67108864\n");
    EXPECT_EQ(*sys::ReadFile(path / "pids.max", 64), "20\n");
    if (const auto niceness = sys::ReadFile(path / "cpu.weight.nice", 64)) {
      EXPECT_EQ(*niceness, "5\n");
    }
    sys::SpawnOptions options;
    auto go = sys::MakePipe();
    ASSERT_TRUE(go.ok());
    options.argv = {"/bin/sh", "-c", "read x; exec dd if=/dev/zero of=/dev/null bs=300M count=1"};
    options.stdin_fd = std::move(go->read);
    auto child = sys::ChildProcess::Spawn(std::move(options));
    ASSERT_TRUE(child.ok());
    EXPECT_FALSE(group->EndedForMemory());
    ASSERT_TRUE(group->Add(child->pid()));
    ASSERT_TRUE(sys::WriteAll(go->write.get(), "\n").ok());
    auto status = child->Wait(Deadline::After(std::chrono::seconds(60)));
    ASSERT_TRUE(status.ok());
    EXPECT_TRUE(status->signalled && status->code == 9);
    EXPECT_TRUE(group->EndedForMemory());
  }
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace pyro::jail
