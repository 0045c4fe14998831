#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "base/time.h"
#include "state/disk_reserve.h"
#include "state/instance/instance_directory.h"
#include "state/journal/journal.h"
#include "state/pool/spare_pool.h"
#include "state/quota.h"
#include "state/registry.h"
#include "state/test_support.h"
#include "supervisor/guest_record.h"
#include "sys/file_lock.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::supervisor {
namespace {

// No file may grow, as on a full disk, while it lives.
class FullDisk {
 public:
  FullDisk() : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit none = {.rlim_cur = 8, .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  }
  ~FullDisk() {
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  sighandler_t handler_;
  rlimit before_{};
};

class TaskRecordTest : public ::testing::Test {
 protected:
  TaskRecordTest() {
    const state::InstanceSpec spec = state::TestSpec(id_);
    lock_ = *state::CreateInstanceDirectory(state_.path(), spec, SystemClock().Now());
    EXPECT_TRUE(registry_->Insert(spec));
    EXPECT_TRUE(registry_->Apply(id_, state::InstanceEvent::kStart));
    EXPECT_TRUE(state::FinishCreation(state_.path(), id_));
    wire::SupervisorConfig config;
    config.kind = wire::GuestKind::kTask;
    config.id = id_.str();
    config.state_dir = state_.path();
    config.directory = directory();
    record_ = MakeGuestRecord(config, SystemClock());
  }

  std::filesystem::path directory() const { return state::InstanceDirectory(state_.path(), id_); }
  CommandJournal& journal() { return *record_->journal(); }

  std::int64_t Begin() {
    wire::Exec exec;
    exec.argv = {"command"};
    exec.cwd = "/workspace";
    const auto sequence = journal().Begin(exec);
    EXPECT_TRUE(sequence) << sequence.error().message;
    return sequence.value_or(0);
  }

  void End(std::int64_t sequence, int code) { journal().End(sequence, CommandEnd{.code = code}); }

  std::optional<CommandEnd> EndOf(std::int64_t sequence) {
    return registry_->GetCommand(id_, sequence)->end;
  }

  std::string Output(std::int64_t sequence) {
    return *state::ReadOutput(directory(), sequence, OutputStream::kStdout, 0, 1000);
  }

  sys::TestDirectory state_;
  InstanceId id_ = state::TestTaskId(1);
  Result<state::Registry> registry_ = state::Registry::Open(state_.path(), SystemClock());
  std::optional<sys::FileLock> lock_;
  std::unique_ptr<GuestRecord> record_;
};

constexpr char kMarker[] =
    "\n[pyro: the task's output could not be written: file too large; what followed was dropped]\n";

TEST_F(TaskRecordTest, KeepsAReserveFromTheFirstCommandOn) {
  EXPECT_FALSE(state::DiskReserve(directory()).full());
  const std::int64_t sequence = Begin();
  EXPECT_TRUE(state::DiskReserve(directory()).full());
  journal().Append(sequence, OutputStream::kStdout, "said\n");
  End(sequence, 3);
  EXPECT_TRUE(journal().settled());
  EXPECT_EQ(EndOf(sequence)->ExitCode(), 3);
  EXPECT_EQ(Output(sequence), "said\n");
}

TEST_F(TaskRecordTest, AnEndThatTheDiskRefusesIsRecordedWithItsMarkerOnceThereIsRoom) {
  const std::int64_t sequence = Begin();
  journal().Append(sequence, OutputStream::kStdout, "begun\n");
  {
    const FullDisk full;
    journal().Append(sequence, OutputStream::kStdout, "more");
    End(sequence, 5);
    journal().Settle();
    EXPECT_FALSE(journal().settled());
  }
  EXPECT_FALSE(state::DiskReserve(directory()).full());
  EXPECT_FALSE(EndOf(sequence));
  journal().Settle();
  EXPECT_TRUE(journal().settled());
  const auto end = EndOf(sequence);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->ExitCode(), 5);
  EXPECT_EQ(end->stdout_bytes, 10u);
  EXPECT_EQ(end->stdout_dropped, 2u);
  EXPECT_EQ(Output(sequence), std::string("begun\nmo") + kMarker);
  EXPECT_TRUE(state::DiskReserve(directory()).full());
  // And what comes then is kept again.
  const std::int64_t next = Begin();
  journal().Append(next, OutputStream::kStdout, "kept\n");
  End(next, 0);
  EXPECT_EQ(Output(next), "kept\n");
  EXPECT_EQ(EndOf(next)->stdout_dropped, 0u);
}

TEST_F(TaskRecordTest, WhileTheDiskIsFullWhatOthersSayIsDroppedToo) {
  const std::int64_t one = Begin();
  const std::int64_t other = Begin();
  {
    const FullDisk full;
    journal().Append(one, OutputStream::kStdout, "0123456789");
  }
  journal().Append(other, OutputStream::kStdout, "x");
  End(other, 0);
  EXPECT_EQ(EndOf(other)->stdout_dropped, 1u);
  EXPECT_EQ(Output(other).find("x"), std::string::npos);
  EXPECT_NE(Output(other).find("was dropped]"), std::string::npos);
}

TEST_F(TaskRecordTest, ADiskThatFailedIsMarkedUntilTheGuestStartsAgain) {
  const std::int64_t failed = Begin();
  const std::int64_t other = Begin();
  End(other, 0);
  EXPECT_FALSE(state::IsReadOnly(directory()));
  journal().End(failed, CommandEnd{.disk_failed = true});
  EXPECT_TRUE(state::IsReadOnly(directory()));
  // It never ran, so nothing was synced.
  journal().End(Begin(), CommandEnd{.outcome = Outcome::kNotStarted, .code = ENOENT});
  EXPECT_TRUE(state::IsReadOnly(directory()));
  (void)record_->Started(wire::Ready{}, std::nullopt);
  EXPECT_FALSE(state::IsReadOnly(directory()));
}

TEST_F(TaskRecordTest, ATaskWithEndsToRecordStaysRecordedAsStarted) {
  const std::int64_t sequence = Begin();
  {
    const FullDisk full;
    End(sequence, 0);
    EXPECT_FALSE(record_->Stopped());
  }
  EXPECT_EQ(registry_->Get(id_)->state, state::InstanceState::kStarted);
  EXPECT_TRUE(record_->Stopped());
  EXPECT_EQ(registry_->Get(id_)->state, state::InstanceState::kStopped);
  EXPECT_TRUE(EndOf(sequence));
}

class SpareRecordTest : public ::testing::Test {
 protected:
  SpareRecordTest() {
    std::filesystem::create_directories(spare_);
    lock_ = *sys::FileLock::TryAcquire(spare_ / "lock");
    wire::SupervisorConfig config;
    config.id = state::TestId(1).str();
    config.state_dir = state_.path();
    config.directory = spare_;
    config.spare_pool = spare_.parent_path();
    config.base_disk = base_;
    EXPECT_TRUE(sys::WriteFileAtomically(base_, "base"));
    record_ = MakeGuestRecord(config, SystemClock());
    ready_.accelerator = "tcg";
  }

  Status TakenForTask() {
    state::InstanceRecord task(state::TestSpec(id_));
    task.name = "named";
    return record_->TakenForTask(FormatTaskManifest(task), ready_, std::nullopt);
  }

  sys::TestDirectory state_;
  const std::filesystem::path spare_ = state_.path() / "spares" / "pool" / state::TestId(1).str();
  const std::filesystem::path base_ = state_.path() / "base";
  InstanceId id_ = state::TestTaskId(1);
  Result<state::Registry> registry_ = state::Registry::Open(state_.path(), SystemClock());
  std::optional<sys::FileLock> lock_;
  std::unique_ptr<GuestRecord> record_;
  wire::Ready ready_;
};

TEST_F(SpareRecordTest, IsThatOfTheTaskWhichItWasTakenFor) {
  EXPECT_EQ(record_->journal(), nullptr);
  EXPECT_FALSE(record_->unfinished());
  const Status taken = TakenForTask();
  ASSERT_TRUE(taken) << taken.error().message;
  const auto task = registry_->Get(id_);
  ASSERT_TRUE(task);
  EXPECT_EQ(task->state, state::InstanceState::kStarted);
  EXPECT_EQ(task->name, "named");
  EXPECT_EQ(task->accelerator, "tcg");
  EXPECT_TRUE(record_->unfinished());
  ASSERT_TRUE(state::FinishCreation(state_.path(), id_));
  EXPECT_FALSE(record_->unfinished());
  wire::Exec exec;
  exec.argv = {"command"};
  exec.cwd = "/workspace";
  ASSERT_NE(record_->journal(), nullptr);
  EXPECT_EQ(record_->journal()->Begin(exec).value_or(0), 1);
  record_->journal()->End(1, CommandEnd{.code = 4});
  EXPECT_EQ(registry_->GetCommand(id_, 1)->end->ExitCode(), 4);
  EXPECT_TRUE(record_->Stopped());
  EXPECT_EQ(registry_->Get(id_)->state, state::InstanceState::kStopped);
  EXPECT_TRUE(record_->Removed());
  EXPECT_FALSE(registry_->Get(id_));
  EXPECT_EQ(*state::LookAtFiles(state_.path(), id_), state::InstanceFiles::kMissing);
}

TEST_F(SpareRecordTest, WaitsOnlyWhileItsPoolWantsOne) {
  EXPECT_FALSE(record_->WaitsFor());
  state::SparePool pool;
  pool.directory = spare_.parent_path();
  pool.guest = "{}";
  for (const int count : {1, 0}) {
    pool.count = count;
    ASSERT_TRUE(WriteSparePool(pool));
    EXPECT_EQ(record_->WaitsFor().has_value(), count == 1);
  }
}

TEST_F(SpareRecordTest, WaitsUntilItsPoolIsFullHoweverShortItsLeaseIs) {
  state::SparePool pool;
  pool.directory = spare_.parent_path();
  pool.guest = "{}";
  pool.count = 2;
  pool.ttl = std::chrono::seconds(1);
  ASSERT_TRUE(WriteSparePool(pool));
  // Written two seconds ago.
  const timespec before = {::time(nullptr) - 2, 0};
  const timespec times[] = {before, before};
  ASSERT_EQ(::utimensat(AT_FDCWD, (pool.directory / "pool.json").c_str(), times, 0), 0);
  {
    const auto filler = sys::FileLock::TryAcquire(state::SparePoolLock(pool.directory));
    ASSERT_TRUE(filler && *filler);
    EXPECT_EQ(record_->WaitsFor(), std::chrono::seconds(1));
  }
  EXPECT_FALSE(record_->WaitsFor());
  state::TouchSparePool(pool.directory);
  EXPECT_TRUE(record_->WaitsFor());
}

TEST_F(SpareRecordTest, ATaskIsNotMadeOfAVersionThatIsGoneNorBeyondTheLimit) {
  std::filesystem::remove(base_);
  EXPECT_EQ(TakenForTask().error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(sys::WriteFileAtomically(base_, "base"));
  ASSERT_TRUE(registry_->Insert(state::TestSpec(state::TestTaskId(2))));
  ASSERT_TRUE(state::WriteGuestLimits(state_.path(), {.tasks = 1}));
  EXPECT_EQ(TakenForTask().error().code, ErrorCode::kLimit);
  EXPECT_EQ(registry_->List(InstanceKind::kTask)->size(), 1U);
  EXPECT_TRUE(std::filesystem::exists(spare_));
  ASSERT_TRUE(state::WriteGuestLimits(state_.path(), {.tasks = 2}));
  EXPECT_TRUE(TakenForTask());
}

TEST_F(SpareRecordTest, ATaskThatCannotBeMadeLeavesNothingAndNoOtherIsTouched) {
  const state::InstanceSpec spec = state::TestSpec(id_);
  ASSERT_TRUE(registry_->Insert(spec));
  EXPECT_EQ(TakenForTask().error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(*state::LookAtFiles(state_.path(), id_), state::InstanceFiles::kMissing);
  EXPECT_TRUE(registry_->Get(id_));
  EXPECT_EQ(record_->journal(), nullptr);
  id_ = state::TestTaskId(2);
  EXPECT_EQ(TakenForTask().error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(record_->TakenForTask("{", ready_, std::nullopt).error().code, ErrorCode::kDataLoss);
  EXPECT_TRUE(record_->Removed());
  EXPECT_FALSE(std::filesystem::exists(spare_));
}

}  // namespace
}  // namespace pyro::supervisor
