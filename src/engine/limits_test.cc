// Limits, the disk's use, and the collection of garbage.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/local_engine.h"
#include "engine/testing/engine_fixture.h"
#include "state/quota.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

void WriteBytes(const fs::path& file, std::size_t bytes) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << std::string(bytes, 'x');
}

class LimitsTest : public EngineFixture {
 protected:
  LimitsTest() {
    // The host of the test may have less than the usual room.
    Set("limit.free_disk", "0");
    Set("limit.host_memory", "0");
  }

  void Set(const std::string& name, const std::string& value) {
    const auto set = engine_->SetSetting(name, value);
    ASSERT_TRUE(set.ok()) << set.error().message;
  }

  LimitInfo Limit(const std::string& name) {
    const auto list = engine_->ListLimits();
    EXPECT_TRUE(list.ok()) << list.error().message;
    for (const LimitInfo& one : list->limits) {
      if (one.name == name) return one;
    }
    return {};
  }

  // The error of a creation with its hint; "" if the task was made.
  std::string RefusalOfATask() {
    const auto made = engine_->CreateTask(Task());
    return made ? "" : std::string(ErrorCodeName(made.error().code)) + ": " + made.error().hint;
  }

  std::uint64_t Bytes(const std::string& kind, bool reclaimable = false) {
    const auto report = engine_->Df();
    EXPECT_TRUE(report.ok()) << report.error().message;
    for (const DiskUse& use : report->uses) {
      if (use.kind == kind) return reclaimable ? use.reclaimable_bytes : use.bytes;
    }
    return 0;
  }
};

TEST_F(LimitsTest, WithoutSettingsThereIsNoLimitOfCountsAndAFloorOfTheDisk) {
  ASSERT_TRUE(engine_->UnsetSetting("limit.free_disk").ok());
  EXPECT_FALSE(Limit("limit.guests").limit);
  EXPECT_EQ(Limit("limit.guests").decided_by, "default");
  EXPECT_FALSE(Limit("limit.tasks").limit);
  EXPECT_FALSE(Limit("limit.disk").limit);
  ASSERT_TRUE(Limit("limit.free_disk").limit);
  EXPECT_LE(*Limit("limit.free_disk").limit, 512);
  EXPECT_EQ(Limit("limit.free_disk").kind, "at_least");
  Set("limit.free_disk", "7");
  EXPECT_EQ(Limit("limit.free_disk").limit, 7);
  EXPECT_EQ(Limit("limit.free_disk").decided_by, "setting");
}

TEST_F(LimitsTest, AGuestMoreThanMayRunIsRefusedAndNothingOfItIsLeft) {
  Set("limit.guests", "1");
  const auto first = engine_->CreateTask(Task());
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(Limit("limit.guests").now, 1);
  EXPECT_EQ(Limit("limit.guest_memory").now, first->mem_mib);
  EXPECT_TRUE(RefusalOfATask().starts_with("limit_exceeded: ")) << RefusalOfATask();
  EXPECT_NE(RefusalOfATask().find("limit.guests"), std::string::npos);
  EXPECT_EQ(engine_->ListTasks()->size(), 1u);
  const auto run = engine_->RunInVm(Vm(), Shell("true"), 30);
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(run.error().code, ErrorCode::kLimit);
  EXPECT_TRUE(engine_->ListVms()->empty());
  // A guest that has ended makes room.
  KillSupervisor(first->task_id);
  EXPECT_TRUE(engine_->RunInVm(Vm(), Shell("true"), 30).ok());
  EXPECT_TRUE(engine_->ExecTask(first->task_id, Shell("true"), 30).ok());
  EXPECT_EQ(engine_->StopTask(first->task_id)->state, GuestState::kStopped);
  EXPECT_EQ(RefusalOfATask(), "");
}

TEST_F(LimitsTest, MemoryOfGuestsAndTheNumberOfTasksAreLimitedToo) {
  Set("limit.guest_memory", "1500");
  ASSERT_EQ(RefusalOfATask(), "");
  EXPECT_NE(RefusalOfATask().find("limit.guest_memory"), std::string::npos);
  Set("limit.guest_memory", "none");
  Set("limit.tasks", "2");
  ASSERT_EQ(RefusalOfATask(), "");
  EXPECT_NE(RefusalOfATask().find("limit.tasks"), std::string::npos);
  EXPECT_EQ(Limit("limit.tasks").now, 2);
  EXPECT_EQ(engine_->ListTasks()->size(), 2u);
}

TEST_F(LimitsTest, OfManyProcessesThatStartAtOnceNoMoreSucceedThanMay) {
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}).ok());
  Set("limit.guests", "3");
  Set("limit.tasks", "5");
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      LocalEngine engine(FakeContext(Directories(), world_));
      Engine& own = engine;
      const auto made = own.CreateTask(Task());
      const bool limit = !made && made.error().code == ErrorCode::kLimit;
      ::_exit(made ? 0 : limit ? 1 : 2);
    }
    children.push_back(child);
  }
  int made = 0;
  int refused = 0;
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    made += WEXITSTATUS(status) == 0 ? 1 : 0;
    refused += WEXITSTATUS(status) == 1 ? 1 : 0;
  }
  EXPECT_EQ(made, 3);
  EXPECT_EQ(refused, 5);
  EXPECT_EQ(engine_->ListTasks()->size(), 3u);
  EXPECT_EQ(Limit("limit.guests").now, 3);
}

TEST_F(LimitsTest, ASpareGivesWayToAStartOfTheUser) {
  StartWarm();
  Set("limit.guests", "1");
  ASSERT_TRUE(engine_->KeepSpares(Vm(), 1).ok());
  EXPECT_EQ(Limit("limit.guests").now, 1);
  VmOptions other = Vm();
  other.mem_mib = 512;
  const auto run = engine_->RunInVm(other, Shell("true"), 30);
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_EQ(run->timings.start, "boot");
  // There is no room for two; the first stays.
  EXPECT_EQ(engine_->KeepSpares(Vm(), 2).error().code, ErrorCode::kLimit);
  EXPECT_TRUE(engine_->KeepSpares(Vm(), 0).ok());
}

TEST_F(LimitsTest, AFloorOfTheDiskAndOfMemoryRefusesWhatIsBegun) {
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}).ok());
  const auto task = engine_->CreateTask(Task());
  ASSERT_TRUE(task.ok());
  Set("limit.free_disk", "1000000000");
  EXPECT_TRUE(RefusalOfATask().starts_with("no_space: ")) << RefusalOfATask();
  EXPECT_NE(RefusalOfATask().find("pyro gc"), std::string::npos);
  EXPECT_EQ(engine_->CreateTaskSnapshot(task->task_id, "s").error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(engine_->PullEnvironment({{"debian:12"}}).error().code, ErrorCode::kNoSpace);
  // A guest that runs goes on, and can be stopped.
  EXPECT_TRUE(engine_->ExecTask(task->task_id, Shell("true"), 30).ok());
  EXPECT_TRUE(engine_->StopTask(task->task_id).ok());
  EXPECT_EQ(engine_->ExecTask(task->task_id, Shell("true"), 30).error().code, ErrorCode::kNoSpace);
  Set("limit.free_disk", "0");
  Set("limit.host_memory", "1000000000");
  const auto refused = engine_->ExecTask(task->task_id, Shell("true"), 30);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  EXPECT_NE(refused.error().hint.find("limit.host_memory"), std::string::npos);
  EXPECT_TRUE(engine_->DeleteTask(task->task_id).ok());
}

TEST_F(LimitsTest, EverythingTogetherIsLimited) {
  ASSERT_EQ(RefusalOfATask(), "");
  WriteBytes(cache_ / "downloads" / "content" / "large", 3 << 20);
  Set("limit.disk", "2");
  EXPECT_TRUE(RefusalOfATask().starts_with("no_space: ")) << RefusalOfATask();
  EXPECT_NE(RefusalOfATask().find("limit.disk"), std::string::npos);
  EXPECT_GE(Limit("limit.disk").now, 3);
}

TEST_F(LimitsTest, TheReportHasEachKindAndTheLargestTaskFirst) {
  const auto small = engine_->CreateTask(Task());
  TaskOptions options = Task();
  options.name = "large";
  const auto large = engine_->CreateTask(options);
  ASSERT_TRUE(small.ok() && large.ok());
  WriteBytes(DirectoryOf(large->task_id) / "data.img", 2 << 20);
  const auto report = engine_->Df();
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->tasks.size(), 2u);
  EXPECT_EQ(report->tasks[0].name, "large");
  EXPECT_GE(report->tasks[0].bytes, 2u << 20);
  EXPECT_GE(Bytes("tasks"), report->tasks[0].bytes + report->tasks[1].bytes);
  EXPECT_GT(Bytes("environments"), 0u);
  EXPECT_EQ(Bytes("tasks", true), 0u);
  std::uint64_t all = 0;
  for (const DiskUse& use : report->uses) all += use.bytes;
  EXPECT_EQ(report->bytes, all);
  EXPECT_EQ(report->limits.size(), 2u);
}

TEST_F(LimitsTest, GarbageIsFoundByADryRunAndThenRemovedAndTasksStay) {
  const auto task = engine_->CreateTask(Task());
  ASSERT_TRUE(task.ok());
  // What kills leave: a VM and a task without a row, a spare without an owner, half a pull, and
  // half a template.
  const std::string id(26, 'a');
  WriteBytes(state_ / "vms" / ("vm_" + id) / "data.img", 100'000);
  WriteBytes(state_ / "tasks" / (".new-task_" + id) / "data.img", 100'000);
  WriteBytes(state_ / "spares" / "pool" / ("vm_" + id) / "data.img", 100'000);
  WriteBytes(state_ / "spares" / ".gone-pool" / "data.img", 100'000);
  WriteBytes(cache_ / "environments" / "debian-12" / ".pull-1" / "x", 100'000);
  WriteBytes(cache_ / "templates" / ".making-abc" / "memory", 100'000);
  WriteBytes(cache_ / "templates" / "broken" / "memory", 100'000);
  const auto dry = engine_->CollectGarbage(Engine::DryRun::kYes);
  ASSERT_TRUE(dry.ok()) << dry.error().message;
  EXPECT_TRUE(dry->dry_run);
  EXPECT_GE(dry->bytes_freed, 700'000u);
  EXPECT_GE(Bytes("spares", true), 200'000u);
  EXPECT_GE(Bytes("templates", true), 200'000u);
  EXPECT_GE(Bytes("tasks", true), 100'000u);
  EXPECT_TRUE(fs::exists(state_ / "vms" / ("vm_" + id)));
  EXPECT_TRUE(fs::exists(cache_ / "templates" / ".making-abc"));
  const auto freed = engine_->CollectGarbage(Engine::DryRun::kNo);
  ASSERT_TRUE(freed.ok()) << freed.error().message;
  EXPECT_EQ(freed->bytes_freed, dry->bytes_freed);
  EXPECT_EQ(freed->freed.size(), dry->freed.size());
  for (const fs::path& gone :
       {state_ / "vms" / ("vm_" + id), state_ / "tasks" / (".new-task_" + id),
        state_ / "spares" / "pool" / ("vm_" + id), state_ / "spares" / ".gone-pool",
        cache_ / "environments" / "debian-12" / ".pull-1", cache_ / "templates" / ".making-abc",
        cache_ / "templates" / "broken"}) {
    EXPECT_FALSE(fs::exists(gone)) << gone;
  }
  EXPECT_EQ(engine_->CollectGarbage(Engine::DryRun::kNo)->bytes_freed, 0u);
  EXPECT_TRUE(engine_->ExecTask(task->task_id, Shell("true"), 30).ok());
}

TEST_F(LimitsTest, AVersionThatATaskNeedsStaysAndAnotherGoesWithItsTemplate) {
  StartWarm();
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}).ok());
  const auto task = engine_->CreateTask(Task());
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(Bytes("environments", true), 0u);
  // Damage makes the next pull another version.
  ReplaceKernel("longer kernel");
  world_.base = "base 2";
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}).ok());
  EXPECT_TRUE(engine_->DeleteTask(task->task_id).ok());
  const auto dry = engine_->CollectGarbage(Engine::DryRun::kYes);
  ASSERT_TRUE(dry.ok()) << dry.error().message;
  const auto freed = engine_->CollectGarbage(Engine::DryRun::kNo);
  ASSERT_TRUE(freed.ok()) << freed.error().message;
  EXPECT_EQ(dry->bytes_freed, freed->bytes_freed);
  const auto of = [&](const std::string& kind) {
    return std::count_if(freed->freed.begin(), freed->freed.end(),
                         [&](const FreedItem& one) { return one.kind == kind; });
  };
  EXPECT_GE(of("environments"), 1);
  EXPECT_GE(of("templates"), 1);
  EXPECT_TRUE(engine_->RunInVm(Vm(), Shell("true"), 30).ok());
}

TEST_F(LimitsTest, CollectionsAndCreationsAtOnceDisturbNeither) {
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}).ok());
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      LocalEngine engine(FakeContext(Directories(), world_));
      Engine& own = engine;
      bool ok = true;
      for (int round = 0; round < 3; ++round) {
        if (i % 2 == 0) {
          ok = ok && own.CollectGarbage(Engine::DryRun::kNo).ok() && own.Df().ok();
        } else {
          const auto task = own.CreateTask(Task());
          ok = ok && task.ok() && own.ExecTask(task->task_id, Shell("true"), 60).ok() &&
               own.DeleteTask(task->task_id).ok();
        }
      }
      ::_exit(ok ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
}

}  // namespace
}  // namespace pyro::engine
