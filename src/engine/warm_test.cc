// Environments, the templates made of them, and spares.

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/json.h"
#include "engine/testing/engine_fixture.h"
#include "state/pool/spare_pool.h"
#include "sys/files.h"
#include "sys/process_ref.h"
#include "sys/unix_socket.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class EnvironmentsTest : public EngineFixture {
 protected:
  EnvironmentInfo Info() {
    const auto list = engine_->ListEnvironments();
    for (const EnvironmentInfo& one : *list) {
      if (one.name == "debian:12") return one;
    }
    return {};
  }
};

TEST_F(EnvironmentsTest, APullInstallsOnceAndTheListSaysSo) {
  EXPECT_EQ(Info().name, "debian:12");
  EXPECT_FALSE(Info().installed);
  const auto pulled = engine_->PullEnvironment({{"debian:12"}});
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_TRUE(pulled->built);
  EXPECT_TRUE(pulled->info.installed);
  EXPECT_TRUE(Info().installed);
  EXPECT_GT(Info().size_bytes, 0u);
  EXPECT_FALSE(engine_->PullEnvironment({{"debian:12"}})->built);
  EXPECT_EQ(engine_->PullEnvironment({{"no-such"}}).error().code, ErrorCode::kNotFound);
}

TEST_F(EnvironmentsTest, AFailedPullIsToldAndInstallsNothing) {
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror");
  EXPECT_EQ(engine_->PullEnvironment({{"debian:12"}}).error().message, "no mirror");
  EXPECT_FALSE(Info().installed);
}

TEST_F(EnvironmentsTest, AnInspectionShowsTheFilesAndFindsDamage) {
  EXPECT_EQ(engine_->InspectEnvironment("debian:12", Engine::Verify::kNo).error().code,
            ErrorCode::kNotFound);
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}).ok());
  const auto details = engine_->InspectEnvironment("debian:12", Engine::Verify::kYes);
  ASSERT_TRUE(details.ok()) << details.error().message;
  ASSERT_EQ(details->files.size(), 2u);
  EXPECT_TRUE(details->files[0].starts_with("base.erofs 6 "));
  EXPECT_EQ(details->modules.size(), 2u);
  ReplaceKernel("other!");
  EXPECT_TRUE(engine_->InspectEnvironment("debian:12", Engine::Verify::kNo).ok());
  const auto damaged = engine_->InspectEnvironment("debian:12", Engine::Verify::kYes);
  ASSERT_FALSE(damaged.ok());
  EXPECT_EQ(damaged.error().code, ErrorCode::kDataLoss);
}

TEST_F(EnvironmentsTest, APruneKeepsWhatATaskNeedsUnlessTheTaskIsGone) {
  const auto task = engine_->CreateTask(Task());
  ASSERT_TRUE(task.ok()) << task.error().message;
  ASSERT_TRUE(engine_->PruneEnvironments(Engine::PruneScope::kAll).ok());
  EXPECT_TRUE(engine_->ExecTask(task->task_id, Shell("true"), 30).ok());
  ASSERT_TRUE(engine_->DeleteTask(task->task_id).ok());
  const auto pruned = engine_->PruneEnvironments(Engine::PruneScope::kAll);
  ASSERT_TRUE(pruned.ok());
  EXPECT_FALSE(pruned->removed.empty());
  EXPECT_GT(pruned->bytes_freed, 0u);
  EXPECT_FALSE(Info().installed);
}

// --- Templates

TEST_F(EnvironmentsTest, APullMakesTheUsualTemplatesAndGuestsGoOnFromThem) {
  StartWarm();
  std::vector<std::string> phases;
  CallIo io;
  io.on_progress = [&](std::string_view phase, std::string_view detail, double) {
    phases.push_back(std::string(phase) + " " + std::string(detail));
  };
  std::string notice;
  io.on_notice = [&](std::string_view text) { notice = text; };
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}, io).ok());
  EXPECT_EQ(notice, "");
  EXPECT_EQ(std::count(phases.begin(), phases.end(), "template freeze"), 2);
  const auto details = engine_->InspectEnvironment("debian:12", Engine::Verify::kNo);
  ASSERT_EQ(details->templates.size(), 2u);
  EXPECT_NE(details->templates[0].new_disk, details->templates[1].new_disk);
  EXPECT_EQ(details->templates[0].mem_mib, 1024);

  const auto result = engine_->RunInVm(Vm(), Shell("echo warm"), 30);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->stdout_text, "warm\n");
  EXPECT_EQ(result->timings.start, "template");

  // Another version needs others: these are of no use any more.
  world_.base = "base 2";
  ASSERT_TRUE(sys::RemoveTree(cache_ / "environments").ok());
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}).ok());
  const auto pruned = engine_->PruneEnvironments(Engine::PruneScope::kLeftovers);
  ASSERT_TRUE(pruned.ok());
  EXPECT_EQ(std::count_if(pruned->removed.begin(), pruned->removed.end(),
                          [](const auto& item) { return item.what == "template"; }),
            2);
}

TEST_F(EnvironmentsTest, AGuestThatCannotBeFrozenIsNoReasonForAPullToFail) {
  StartWarm();
  world_.kernel = "panic!";
  std::string notice;
  CallIo io;
  io.on_notice = [&](std::string_view text) { notice = text; };
  const auto pulled = engine_->PullEnvironment({{"debian:12"}}, io);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_NE(notice.find("guests will boot instead of starting warm"), std::string::npos) << notice;
}

TEST_F(EnvironmentsTest, AMissingMonitorIsToldWhenAGuestIsWanted) {
  StartWarm();
  world_.monitor = MakeError(ErrorCode::kMissingTool, "no monitor", "install one");
  const auto result = engine_->RunInVm(Vm(), Shell("true"), 30);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "no monitor");
}

// --- Spares

class SparesTest : public EngineFixture {
 protected:
  SparesTest() { StartWarm(); }

  // The directory of the one that waits.
  fs::path TheSpare() const {
    for (const auto& entry : fs::recursive_directory_iterator(state_ / "spares")) {
      if (entry.path().filename() == "control.sock") return entry.path().parent_path();
    }
    return {};
  }
};

TEST_F(SparesTest, ARunTakesTheSpareThatWaitsAndThePoolIsFilledAgain) {
  const auto pool = engine_->KeepSpares(Vm(), 1);
  ASSERT_TRUE(pool.ok()) << pool.error().message;
  EXPECT_EQ(pool->count, 1);
  EXPECT_EQ(pool->waiting, 1);
  EXPECT_EQ(pool->environment, "debian:12");
  EXPECT_FALSE(pool->expires_at.empty());
  const auto result = engine_->RunInVm(Vm(), Shell("pwd"), 30);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->timings.start, "spare");
  EXPECT_EQ(result->stdout_text, "/workspace\n");
  // Of another size: none waits.
  VmOptions other = Vm();
  other.mem_mib = 512;
  const auto booted = engine_->RunInVm(other, Shell("true"), 30);
  ASSERT_TRUE(booted.ok());
  EXPECT_EQ(booted->timings.start, "boot");
  // Returns once the pool is full, also if another process fills it.
  EXPECT_EQ(engine_->KeepSpares(Vm(), 1)->waiting, 1);
  ASSERT_EQ(engine_->ListSparePools()->size(), 1u);
  EXPECT_EQ(engine_->KeepSpares(Vm(), 0)->waiting, 0);
  EXPECT_TRUE(engine_->ListSparePools()->empty());
}

TEST_F(SparesTest, ATaskTakesTheSpareThatWaits) {
  ASSERT_TRUE(engine_->KeepSpares(Vm(), 1).ok());
  TaskOptions options = Task();
  options.name = "named";
  options.ttl_seconds = 500;
  const std::string spare = TheSpare().filename().native();
  const auto task = engine_->CreateTask(options);
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(task->task_id, "task_" + spare.substr(3));
  EXPECT_EQ(task->state, GuestState::kStarted);
  EXPECT_EQ(task->name, "named");
  EXPECT_EQ(task->ttl_seconds, 500);
  const auto done = engine_->ExecTask(task->task_id, Shell("echo kept > file; exit 3"), 30);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(done->exit_code, 3);
  EXPECT_EQ(done->sequence, 1);
  EXPECT_FALSE(done->restarted);
  EXPECT_EQ(engine_->StopTask(task->task_id)->state, GuestState::kStopped);
  EXPECT_EQ(engine_->ExecTask(task->task_id, Shell("cat file"), 30)->stdout_text, "kept\n");
  EXPECT_EQ(engine_->KeepSpares(Vm(), 1)->waiting, 1);
  EXPECT_TRUE(engine_->DeleteTask(task->task_id).ok());
  EXPECT_TRUE(engine_->ListTasks()->empty());
  EXPECT_TRUE(engine_->KeepSpares(Vm(), 0).ok());
}

TEST_F(SparesTest, ATaskThatCannotBeMadeOfASpareCostsNoSecondOne) {
  ASSERT_TRUE(engine_->KeepSpares(Vm(), 2).ok());
  std::vector<fs::path> spares;
  for (const auto& entry : fs::recursive_directory_iterator(state_ / "spares")) {
    if (entry.path().filename() == "control.sock") spares.push_back(entry.path().parent_path());
  }
  ASSERT_EQ(spares.size(), 2u);
  std::sort(spares.begin(), spares.end());  // As they are asked.
  // Where the task's directory would be, another one is.
  for (const fs::path& spare : spares) {
    fs::create_directories(state_ / "tasks" / ("task_" + spare.filename().native().substr(3)));
  }
  const auto task = engine_->CreateTask(Task());
  ASSERT_TRUE(task.ok()) << task.error().message;
  for (int i = 0; i < 6000 && fs::exists(spares[0]); ++i) ::usleep(10'000);
  EXPECT_FALSE(fs::exists(spares[0]));
  EXPECT_TRUE(sys::ConnectUnix(spares[1] / "control.sock").ok());
  EXPECT_TRUE(engine_->DeleteTask(task->task_id).ok());
  EXPECT_TRUE(engine_->KeepSpares(Vm(), 0).ok());
}

TEST_F(SparesTest, ATaskOnAHostWhosePoolsHaveEndedIsPreparedOnce) {
  ASSERT_TRUE(engine_->KeepSpares(Vm(), 1).ok());
  ASSERT_TRUE(engine_->KeepSpares(Vm(), 0).ok());
  ASSERT_TRUE(fs::exists(state_ / "spares"));
  int prepared = 0;
  CallIo io;
  io.on_progress = [&](std::string_view phase, std::string_view, double) {
    prepared += phase == "prepare";
  };
  const auto task = engine_->CreateTask(Task(), io);
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(prepared, 1);
  EXPECT_TRUE(engine_->DeleteTask(task->task_id).ok());
}

TEST_F(SparesTest, ATaskOfAnotherDiskTakesNone) {
  ASSERT_TRUE(engine_->KeepSpares(Vm(), 1).ok());
  TaskOptions options = Task();
  options.disk_mib = 512;
  const auto task = engine_->CreateTask(options);
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(engine_->ListSparePools()->at(0).waiting, 1);
  EXPECT_TRUE(engine_->DeleteTask(task->task_id).ok());
  EXPECT_TRUE(engine_->KeepSpares(Vm(), 0).ok());
}

TEST_F(SparesTest, ASpareThatWasKilledIsReplaced) {
  ASSERT_TRUE(engine_->KeepSpares(Vm(), 1).ok());
  const fs::path spare = TheSpare();
  ASSERT_FALSE(spare.empty());
  KillAt(spare / "control.sock");
  EXPECT_EQ(engine_->ListSparePools()->at(0).waiting, 0);
  EXPECT_EQ(engine_->KeepSpares(Vm(), 1)->waiting, 1);
  EXPECT_FALSE(fs::exists(spare));
}

TEST_F(SparesTest, APoolThatNoRunHasUsedForItsTimeIsOver) {
  VmOptions options = Vm();
  options.ttl_seconds = 3600;
  ASSERT_TRUE(engine_->KeepSpares(options, 1).ok());
  EXPECT_EQ(engine_->ListSparePools()->size(), 1u);
  ASSERT_TRUE(engine_->KeepSpares(options, 0).ok());
  world_.clock.Advance(2h);
  EXPECT_TRUE(engine_->ListSparePools()->empty());
}

TEST_F(SparesTest, EndingSparesBuildsNothing) {
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror");
  const auto none = engine_->KeepSpares(Vm(), 0);
  ASSERT_TRUE(none.ok()) << none.error().message;
  EXPECT_EQ(none->environment, "debian:12");
  EXPECT_EQ(none->count, 0);
  EXPECT_EQ(none->waiting, 0);
  EXPECT_FALSE(engine_->InspectEnvironment("debian:12", Engine::Verify::kNo).ok());
  VmOptions unknown = Vm();
  unknown.environment = "no-such:1";
  EXPECT_EQ(engine_->KeepSpares(unknown, 0).error().code, ErrorCode::kNotFound);
}

TEST_F(SparesTest, PoolsOfAProcessThatHasEndedAndThoseToReplaceTakeNoMemory) {
  const pid_t ended = ::fork();
  if (ended == 0) {
    ::pause();
    ::_exit(0);
  }
  for (const pid_t keeper : {ended, ::getpid()}) {
    state::SparePool huge;
    huge.directory = state::SparePoolsDirectory(state_) / std::to_string(keeper);
    huge.environment = "debian:12";
    huge.environment_digest = "d";
    huge.mem_mib = 1 << 24;
    huge.count = 64;
    huge.blank = "/blank";
    huge.guest = "{}";
    huge.keeper = ToJsonLine(sys::ProcessRef::Of(keeper)->ToJson());
    ASSERT_TRUE(sys::MakeDirectories(huge.directory).ok());
    ASSERT_TRUE(state::WriteSparePool(huge).ok());
  }
  ASSERT_EQ(::kill(ended, SIGKILL), 0);
  ASSERT_EQ(::waitpid(ended, nullptr, 0), ended);
  const auto kept = engine_->KeepOwnSpares(Vm(), 1);
  ASSERT_TRUE(kept.ok()) << kept.error().message;
  EXPECT_EQ(kept->waiting, 1);
  EXPECT_EQ(engine_->ListSparePools()->size(), 1u);
  ASSERT_TRUE(engine_->KeepOwnSpares(Vm(), 0).ok());
}

TEST_F(SparesTest, WhatCannotBeKeptIsRefused) {
  EXPECT_EQ(engine_->KeepSpares(Vm(), -1).error().message, "count is -1");
  EXPECT_EQ(engine_->KeepSpares(Vm(), 65).error().code, ErrorCode::kInvalidArgument);
  VmOptions huge = Vm();
  huge.mem_mib = 1024 * 1024;
  const auto refused = engine_->KeepSpares(huge, 64);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  ::setenv("PYRO_WARM_START", "0", 1);
  EXPECT_EQ(engine_->KeepSpares(Vm(), 1).error().code, ErrorCode::kUnavailable);
}

// --- Doctor

class DoctorTest : public EngineFixture {};

TEST_F(DoctorTest, LooksAtEveryPartAndNamesWhatIsMissing) {
  const auto find = [](const DoctorReport& report, std::string_view name) {
    for (const DoctorCheck& check : report.checks) {
      if (check.name == name) return check;
    }
    return DoctorCheck{};
  };
  auto report = engine_->Doctor();
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(find(*report, "fake").ok);
  EXPECT_EQ(find(*report, "fake").detail, "/fake/vmm");
  EXPECT_TRUE(find(*report, "limits").ok);
  EXPECT_TRUE(find(*report, "supervisor").ok);
  EXPECT_TRUE(find(*report, "agent").ok);
  EXPECT_TRUE(find(*report, "state").ok);
  EXPECT_TRUE(find(*report, "environment tools").ok);
  const DoctorCheck images = find(*report, "image tools");
  EXPECT_FALSE(images.required);
  EXPECT_EQ(images.ok, images.fix.empty()) << images.detail;
  EXPECT_EQ(report->accelerator.name, "tcg");
  EXPECT_EQ(report->accelerator.reason, "PYRO_ACCELERATOR=tcg asks for it");
  EXPECT_EQ(report->state_directory, state_);
  // Nothing can be booted yet, and nothing is pulled for it.
  EXPECT_TRUE(report->capabilities.vm_boot);
  EXPECT_FALSE(find(*report, "guest").ok);
  EXPECT_FALSE(find(*report, "guest").required);
  EXPECT_EQ(find(*report, "guest").fix, "pyro env pull debian:12");

  world_.monitor = MakeError(ErrorCode::kMissingTool, "no monitor", "install one");
  world_.missing_tools = {"install mmdebstrap"};
  report = engine_->Doctor();
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->runtime_ok);
  EXPECT_FALSE(report->capabilities.vm_boot);
  EXPECT_FALSE(report->capabilities.guest_exec);
  EXPECT_EQ(find(*report, "fake").fix, "install one");
  const auto issue = [&](const std::string& text) {
    return std::find(report->issues.begin(), report->issues.end(), text) != report->issues.end();
  };
  EXPECT_TRUE(issue("fake: no monitor; fix: install one"));
  EXPECT_TRUE(issue("guest: not tried, because another check has failed; fix: mend that first"));
  EXPECT_TRUE(
      issue("environment tools: environments cannot be built here; fix: install mmdebstrap"));
}

TEST_F(DoctorTest, CanBeCancelledWhileItsGuestHangs) {
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}).ok());
  ReplaceKernel("silent");
  auto pipe = sys::MakePipe();
  ASSERT_TRUE(pipe.ok());
  ASSERT_EQ(::write(pipe->write.get(), "x", 1), 1);
  CallIo io;
  io.cancel_fd = pipe->read.get();
  const auto report = engine_->Doctor(io);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(engine_->ListVms()->empty());
}

// The spares stay for the runs that want them.
TEST_F(DoctorTest, StartsAGuestIfAnEnvironmentIsInstalledAndFailsIfThatOneDoes) {
  StartWarm();
  ASSERT_TRUE(engine_->KeepSpares(Vm(), 1).ok());
  const auto report = engine_->Doctor();
  const DoctorCheck& guest = report->checks.back();
  EXPECT_EQ(guest.name, "guest");
  EXPECT_TRUE(guest.ok) << guest.detail;
  EXPECT_TRUE(guest.required);
  EXPECT_NE(guest.detail.find("debian:12"), std::string::npos) << guest.detail;
  EXPECT_EQ(engine_->ListSparePools()->front().waiting, 1);
  EXPECT_TRUE(engine_->ListVms()->empty());

  ASSERT_TRUE(engine_->KeepSpares(Vm(), 0).ok());
  ::setenv("PYRO_WARM_START", "0", 1);
  ReplaceKernel("panic!");
  const auto broken = engine_->Doctor();
  EXPECT_FALSE(broken->runtime_ok);
  EXPECT_FALSE(broken->capabilities.vm_boot);
  EXPECT_FALSE(broken->capabilities.guest_exec);
  EXPECT_FALSE(broken->checks.back().ok);
  EXPECT_TRUE(broken->issues.back().starts_with("guest: ")) << broken->issues.back();
  EXPECT_TRUE(engine_->ListVms()->empty());
}

}  // namespace
}  // namespace pyro::engine
