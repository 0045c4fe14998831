// Snapshots and resets of tasks. The disks of these guests hold nothing; their images are compared.

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "state/disk_reserve.h"
#include "sys/disk_walk.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

class SnapshotsOfTaskTest : public EngineFixture {
 protected:
  std::string Create(const TaskOptions& options = Task()) {
    const auto task = engine_->CreateTask(options);
    EXPECT_TRUE(task.ok()) << task.error().message;
    notices_ = task->notices;
    return task->task_id;
  }

  // Behind what the file system of the image uses.
  static constexpr off_t kMark = 1 << 20;
  void Mark(const std::string& id, char letter) const {
    const auto disk = sys::OpenFile(DirectoryOf(id) / "data.img", O_RDWR);
    ASSERT_TRUE(disk.ok());
    ASSERT_EQ(::pwrite(disk->get(), &letter, 1, kMark), 1);
  }
  char MarkOf(const std::string& id) const {
    char letter = '\0';  // Behind the end of a small image there is nothing.
    const auto disk = sys::OpenFile(DirectoryOf(id) / "data.img", O_RDONLY);
    EXPECT_TRUE(disk.ok());
    EXPECT_GE(::pread(disk->get(), &letter, 1, kMark), 0);
    return letter;
  }
  std::vector<std::string> Names(const std::string& id) const {
    std::vector<std::string> names;
    const auto list = engine_->ListTaskSnapshots(id);
    EXPECT_TRUE(list.ok());
    for (const TaskSnapshot& one : list->snapshots) {
      names.push_back(one.name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  template <typename T>
  static ErrorCode CodeOf(const Result<T>& result) {
    return result ? ErrorCode::kInternal : result.error().code;
  }

  std::vector<std::string> notices_;
};

TEST_F(SnapshotsOfTaskTest, AGuestWhoseDiskFailedGivesNoCopyOfIt) {
  const std::string id = Create();
  state::MarkReadOnly(DirectoryOf(id), true);
  const auto refused = engine_->CreateTaskSnapshot(id, "a");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  EXPECT_NE(refused.error().message.find("files of the task may be missing or damaged"),
            std::string::npos)
      << refused.error().message;
  EXPECT_EQ(Names(id), std::vector<std::string>{"create"});
  ASSERT_TRUE(engine_->StopTask(id).ok());
  EXPECT_TRUE(engine_->CreateTaskSnapshot(id, "a").ok());
}

TEST_F(SnapshotsOfTaskTest, AResetGivesTheDiskOfASnapshotAndTheJournalGoesOn) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->ExecTask(id, Shell("echo 1"), 0).ok());
  Mark(id, 'a');
  const auto made = engine_->CreateTaskSnapshot(id, "a");  // Of a guest that runs.
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->task_id, id);
  EXPECT_EQ(made->sequence, 1);
  ASSERT_TRUE(engine_->StopTask(id).ok());
  Mark(id, 'b');
  ASSERT_TRUE(engine_->CreateTaskSnapshot(id, "b").ok());  // Of one that does not.
  EXPECT_EQ(engine_->StatusTask(id)->state, GuestState::kStopped);
  EXPECT_EQ(Names(id), (std::vector<std::string>{"a", "b", "create"}));

  ASSERT_TRUE(engine_->ExecTask(id, Shell("echo 2"), 0).ok());
  const auto reset = engine_->ResetTask(id, "a");
  ASSERT_TRUE(reset.ok()) << reset.error().message;
  EXPECT_EQ(reset->task_id, id);
  EXPECT_EQ(reset->snapshot, "a");
  EXPECT_EQ(reset->sequence, 2);
  EXPECT_EQ(engine_->StatusTask(id)->state, GuestState::kStopped);
  EXPECT_EQ(SupervisorOf(id), 0);
  EXPECT_EQ(MarkOf(id), 'a');
  ASSERT_TRUE(engine_->ResetTask(id, "b").ok());
  EXPECT_EQ(MarkOf(id), 'b');
  ASSERT_TRUE(engine_->ResetTask(id).ok());
  EXPECT_EQ(MarkOf(id), '\0');

  const auto after = engine_->ExecTask(id, Shell("echo 3"), 0);
  ASSERT_TRUE(after.ok()) << after.error().message;
  EXPECT_EQ(after->sequence, 3);
  EXPECT_TRUE(after->restarted);
  const auto logs = engine_->LogsTask(id);
  ASSERT_TRUE(logs.ok());
  EXPECT_EQ(logs->entries.size(), 3U);
  ASSERT_EQ(logs->resets.size(), 3U);
  EXPECT_EQ(logs->resets[0].snapshot, "a");
  EXPECT_EQ(logs->resets[2].snapshot, "create");
  EXPECT_EQ(logs->resets[2].sequence, 2);
  EXPECT_EQ(engine_->LogsTask(id, 1, 1)->resets.size(), 0U);
  EXPECT_EQ(engine_->LogsTask(id, 1, -1)->resets.size(), 3U);
}

TEST_F(SnapshotsOfTaskTest, ARunningCommandIsInterruptedByAReset) {
  const std::string id = Create();
  const auto running = engine_->StartTaskCommand(id, Shell("sleep 600"), 0);
  ASSERT_TRUE(running.ok()) << running.error().message;
  const auto reset = engine_->ResetTask(id);
  ASSERT_TRUE(reset.ok()) << reset.error().message;
  EXPECT_EQ(reset->sequence, running->sequence);
  EXPECT_EQ(engine_->GetTaskCommand(id, running->sequence)->outcome, Outcome::kInterrupted);
}

TEST_F(SnapshotsOfTaskTest, AResetThatCannotBeMadeLeavesTheGuestRunning) {
  const std::string id = Create();
  EXPECT_EQ(CodeOf(engine_->ResetTask(id, "none")), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(engine_->ResetTask(id, "../create")), ErrorCode::kInvalidArgument);
  fs::remove(DirectoryOf(id) / "snapshots" / "create" / "data.img");
  EXPECT_EQ(CodeOf(engine_->ResetTask(id)), ErrorCode::kNotFound);
  EXPECT_EQ(engine_->StatusTask(id)->state, GuestState::kStarted);
  EXPECT_NE(SupervisorOf(id), 0);
  EXPECT_FALSE(fs::exists(DirectoryOf(id) / "snapshots" / ".new"));
}

TEST_F(SnapshotsOfTaskTest, ADeletedSnapshotIsGoneAndTheTaskStays) {
  const std::string id = Create();
  Mark(id, 'a');
  ASSERT_TRUE(engine_->CreateTaskSnapshot(id, "a").ok());
  EXPECT_EQ(CodeOf(engine_->CreateTaskSnapshot(id, "a")), ErrorCode::kAlreadyExists);
  const auto deleted = engine_->DeleteTaskSnapshot(id, "a");
  ASSERT_TRUE(deleted.ok()) << deleted.error().message;
  EXPECT_EQ(deleted->name, "a");
  EXPECT_EQ(Names(id), std::vector<std::string>{"create"});
  EXPECT_EQ(CodeOf(engine_->DeleteTaskSnapshot(id, "a")), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(engine_->ResetTask(id, "a")), ErrorCode::kNotFound);
  EXPECT_EQ(MarkOf(id), 'a');
  EXPECT_EQ(CodeOf(engine_->CreateTaskSnapshot("task_aaaaaa", "a")), ErrorCode::kNotFound);
}

TEST_F(SnapshotsOfTaskTest, ATaskThatIsStillBeingMadeHasNoSnapshotTaken) {
  const std::string id = Create();
  // By the answer its supervisor has seen the maker go: then no mark makes it remove the task.
  ASSERT_TRUE(engine_->ListTaskProcesses(id).ok());
  std::ofstream(DirectoryOf(id) / "creating") << "";
  EXPECT_EQ(CodeOf(engine_->CreateTaskSnapshot(id, "a")), ErrorCode::kWrongState);
  EXPECT_EQ(CodeOf(engine_->ResetTask(id)), ErrorCode::kWrongState);
  fs::remove(DirectoryOf(id) / "creating");
}

TEST_F(SnapshotsOfTaskTest, ACancelledSnapshotIsNone) {
  const std::string id = Create();
  auto pipe = sys::MakePipe();
  ASSERT_TRUE(pipe.ok());
  pipe->write.Reset();
  CallIo io;
  io.cancel_fd = pipe->read.get();
  EXPECT_EQ(CodeOf(engine_->CreateTaskSnapshot(id, "a", io)), ErrorCode::kCancelled);
  EXPECT_EQ(CodeOf(engine_->ResetTask(id, "create", io)), ErrorCode::kCancelled);
  EXPECT_EQ(engine_->StatusTask(id)->state, GuestState::kStarted);
  EXPECT_EQ(Names(id), std::vector<std::string>{"create"});
}

TEST_F(SnapshotsOfTaskTest, ASummaryCountsWhatRanAndNamesWhatFailed) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->ExecTask(id, Shell("echo 12345"), 0).ok());
  ASSERT_TRUE(engine_->ExecTask(id, Shell("exit 3"), 0).ok());
  ASSERT_TRUE(engine_->StartTaskCommand(id, Shell("sleep 600"), 0).ok());
  auto summary = engine_->SummarizeTask(id);
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  EXPECT_EQ(summary->task_id, id);
  EXPECT_EQ(summary->commands, 3);
  EXPECT_EQ(summary->running, 1);
  EXPECT_EQ(summary->failed, 1);
  EXPECT_EQ(summary->output_bytes, 6U);
  EXPECT_EQ(summary->snapshots, 1);
  EXPECT_FALSE(summary->changes);
  ASSERT_EQ(summary->failures.size(), 1U);
  EXPECT_EQ(summary->failures[0].sequence, 2);
  EXPECT_EQ(summary->failures[0].exit_code, 3);
  ASSERT_TRUE(engine_->ResetTask(id).ok());
  summary = engine_->SummarizeTask(id);
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->resets, 1);
  EXPECT_EQ(summary->running, 0);
  EXPECT_EQ(summary->failed, 2);
  EXPECT_EQ(summary->interrupted, 1);
  EXPECT_EQ(CodeOf(engine_->SummarizeTask(id, "none")), ErrorCode::kNotFound);
}

TEST_F(SnapshotsOfTaskTest, WhatATaskTakesIsToldPartByPart) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->ExecTask(id, Shell("head -c 100000 /dev/zero"), 0).ok());
  ASSERT_TRUE(engine_->CreateTaskSnapshot(id, "a").ok());
  const auto use = engine_->DfTask(id);
  ASSERT_TRUE(use.ok()) << use.error().message;
  EXPECT_EQ(use->disk_mib, 10240);
  EXPECT_EQ(use->disk_bytes, sys::DiskUsage(DirectoryOf(id) / "data.img"));
  EXPECT_GE(use->journal_bytes, 100000U);
  EXPECT_GT(use->free_bytes, 0U);
  ASSERT_EQ(use->snapshots.size(), 2U);
  std::uint64_t sum = use->disk_bytes + use->journal_bytes + use->console_bytes;
  std::uint64_t own = use->own_bytes + use->journal_bytes + use->console_bytes;
  for (const TaskSnapshotUse& one : use->snapshots) {
    EXPECT_LE(one.own_bytes, one.disk_bytes + (1 << 20)) << one.name;
    sum += one.disk_bytes;
    own += one.own_bytes;
  }
  EXPECT_LE(use->total_bytes, sum + (1 << 20));  // Blocks of the file system's own count in one.
  EXPECT_GE(use->total_bytes + (1 << 20), own);
}

}  // namespace
}  // namespace pyro::engine
