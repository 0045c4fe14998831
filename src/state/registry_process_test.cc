#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/check.h"
#include "db/test_support.h"
#include "state/registry.h"
#include "state/test_support.h"
#include "sys/files.h"
#include "sys/random.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

using db::Fork;
using db::Reap;

// One VM's whole life, beside a shared one that everybody uses. 0, or the number of what failed.
int Live(Registry& registry, const InstanceId& shared) {
  const InstanceId id = InstanceId::FromBits(InstanceKind::kVm, sys::RandomBits());
  if (!registry.Insert(TestSpec(id))) return 1;
  if (!registry.Apply(id, InstanceEvent::kStart)) return 2;
  if (!registry.Apply(shared, InstanceEvent::kExec)) return 3;
  if (!registry.Apply(id, InstanceEvent::kStop)) return 4;
  if (!registry.Delete(id)) return 5;
  return 0;
}

TEST(RegistryProcessTest, EightProcessesChangeItAtOnce) {
  const sys::TestDirectory directory;
  const TestClock clock;
  const InstanceId shared = TestId(1);
  {
    auto registry = Registry::Open(directory.path(), clock);
    ASSERT_TRUE(registry->Insert(TestSpec(shared)).ok());
    ASSERT_TRUE(registry->Apply(shared, InstanceEvent::kStart).ok());
  }
  std::vector<pid_t> children;
  for (int process = 0; process < 8; ++process) {
    children.push_back(Fork([&] {
      auto registry = Registry::Open(directory.path(), clock);
      if (!registry) return 10;
      for (int i = 0; i < 50; ++i) {
        if (const int failed = Live(*registry, shared); failed != 0) return failed;
      }
      return 0;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(Reap(child), 0);
  auto registry = Registry::Open(directory.path(), clock);
  EXPECT_EQ(registry->List(InstanceKind::kVm)->size(), 1u);
}

TEST(RegistryProcessTest, OfManyWhoStartOneVmExactlyOneSucceeds) {
  const sys::TestDirectory directory;
  const TestClock clock;
  ASSERT_TRUE(Registry::Open(directory.path(), clock)->Insert(TestSpec(TestId(1))).ok());
  std::vector<pid_t> children;
  for (int process = 0; process < 8; ++process) {
    children.push_back(Fork([&] {
      auto registry = Registry::Open(directory.path(), clock);
      const auto vm = registry->Apply(TestId(1), InstanceEvent::kStart);
      return vm ? 0 : static_cast<int>(vm.error().code);
    }));
  }
  int started = 0;
  for (const pid_t child : children) {
    const int code = Reap(child);
    if (code == 0) ++started;
    if (code != 0) {
      EXPECT_EQ(code, static_cast<int>(ErrorCode::kWrongState));
    }
  }
  EXPECT_EQ(started, 1);
}

TEST(RegistryProcessTest, DirectoriesAndRowsGoTogetherForEveryProcess) {
  // Writers make a directory and its row, one after the other; a watcher that looks inside
  // WithExclusive never sees the one without the other.
  const sys::TestDirectory directory;
  const TestClock clock;
  const auto vms = directory.path() / "vms";
  std::filesystem::create_directory(vms);
  ASSERT_TRUE(Registry::Open(directory.path(), clock).ok());
  std::vector<pid_t> writers;
  for (int process = 0; process < 3; ++process) {
    writers.push_back(Fork([&] {
      auto registry = Registry::Open(directory.path(), clock);
      for (int i = 0; i < 20; ++i) {
        const InstanceId id = InstanceId::FromBits(InstanceKind::kVm, sys::RandomBits());
        const Status status = registry->WithExclusive([&]() -> Status {
          std::filesystem::create_directory(vms / id.str());
          const auto vm = registry->Insert(TestSpec(id));
          return vm ? OkStatus() : Status(vm.error());
        });
        if (!status) return 1;
      }
      return 0;
    }));
  }
  auto registry = Registry::Open(directory.path(), clock);
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(registry
                    ->WithExclusive([&]() -> Status {
                      for (const auto& entry : std::filesystem::directory_iterator(vms)) {
                        const auto id =
                            InstanceId::Parse(InstanceKind::kVm, entry.path().filename().string());
                        EXPECT_TRUE(id && registry->Get(*id).ok()) << entry.path();
                      }
                      return OkStatus();
                    })
                    .ok());
  }
  for (const pid_t writer : writers) EXPECT_EQ(Reap(writer), 0);
}

TEST(RegistryProcessTest, KillsAtAnyMomentLeaveWholeRows) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const sys::TestDirectory directory;
  const TestClock clock;
  const InstanceId shared = TestId(1);
  {
    auto registry = Registry::Open(directory.path(), clock);
    ASSERT_TRUE(registry->Insert(TestSpec(shared)).ok());
    ASSERT_TRUE(registry->Apply(shared, InstanceEvent::kStart).ok());
  }
  for (int round = 0; round < 20; ++round) {
    auto progress = sys::MakePipe();
    ASSERT_TRUE(progress.ok());
    const pid_t child = Fork([&] {
      auto registry = Registry::Open(directory.path(), clock);
      while (registry && Live(*registry, shared) == 0) {
        if (write(progress->write.get(), "x", 1) != 1) return 2;
      }
      return 1;
    });
    progress->write.Reset();
    char byte = 0;
    for (auto wanted = random() % 4; wanted > 0; --wanted) {
      ASSERT_EQ(read(progress->read.get(), &byte, 1), 1);
    }
    for (auto spin = random() % 500'000; spin > 0; --spin) {
      asm volatile("");
    }
    kill(child, SIGKILL);
    EXPECT_EQ(Reap(child), -SIGKILL);

    // At most the VM that was in the middle of its life is left, in a state from which it can go.
    auto registry = Registry::Open(directory.path(), clock);
    ASSERT_TRUE(registry.ok()) << registry.error().message;
    const auto vms = registry->List(InstanceKind::kVm);
    ASSERT_TRUE(vms.ok()) << vms.error().message;
    EXPECT_LE(vms->size(), 2u);
    for (const InstanceRecord& vm : *vms) {
      if (vm.id == shared) continue;
      if (vm.state == InstanceState::kStarted) {
        EXPECT_TRUE(registry->Apply(vm.id, InstanceEvent::kLost).ok());
      }
      EXPECT_TRUE(registry->Delete(vm.id).ok());
    }
    EXPECT_EQ(registry->Get(shared)->state, InstanceState::kStarted);
  }
}

}  // namespace
}  // namespace pyro::state
