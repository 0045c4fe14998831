// The machine that a guest runs on: what decides, what a task remembers, what is refused.

#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

class MachineTest : public EngineFixture {
 protected:
  ~MachineTest() override { ::unsetenv("PYRO_MACHINE"); }

  void MakeKvm() const {
    const fs::path kvm = directory_.path() / "kvm";
    std::ofstream(kvm).flush();
    ::chmod(kvm.c_str(), 0666);
  }

  Result<ExecResult> Run(std::optional<MachineKind> machine = std::nullopt) {
    VmOptions options = Vm();
    options.machine = machine;
    return engine_->RunInVm(options, Shell("true"), 30);
  }

  // From here on user mode works, on a supervisor whose guests are processes as ever.
  void MakeUsermode() {
    world_.usermode = OkStatus();
    const fs::path programs = directory_.path() / "programs";
    fs::create_directories(programs);
    for (const auto& one : fs::directory_iterator(std::getenv("PYRO_LIBEXEC_DIR"))) {
      fs::create_symlink(one.path(), programs / one.path().filename());
    }
    const fs::path kernel = programs / "pyro-usermode-kernel";
    if (!fs::exists(fs::symlink_status(kernel))) std::ofstream(kernel) << "kernel";
    ::chmod(kernel.c_str(), 0755);
    ::setenv("PYRO_LIBEXEC_DIR", programs.c_str(), 1);
    ::unsetenv("PYRO_ACCELERATOR");
  }

  std::string Create(std::optional<MachineKind> machine = std::nullopt) {
    TaskOptions options = Task();
    options.machine = machine;
    const auto task = engine_->CreateTask(options);
    EXPECT_TRUE(task.ok()) << (task ? "" : task.error().message);
    return task ? task->task_id : "";
  }

  void LoseRegistry() const {
    for (const char* name : {"registry.db", "registry.db-wal", "registry.db-shm"}) {
      fs::remove(state_ / name);
    }
  }

  void Set(const char* value) { ASSERT_TRUE(engine_->SetSetting("machine", value).ok()); }
};

TEST_F(MachineTest, TheCallGoesBeforeTheVariableAndTheVariableBeforeTheConfiguration) {
  MakeKvm();
  EXPECT_EQ(Run()->machine, "tcg");  // The fixture's PYRO_ACCELERATOR.
  EXPECT_EQ(engine_->Doctor()->machine.decided_by, "PYRO_ACCELERATOR");
  Set("kvm");
  EXPECT_EQ(Run()->machine, "kvm");
  EXPECT_EQ(engine_->Doctor()->machine.decided_by, configuration_.native());
  EXPECT_EQ(engine_->KnownMachine(), "kvm");
  ::setenv("PYRO_MACHINE", "tcg", 1);
  EXPECT_EQ(Run()->machine, "tcg");
  EXPECT_EQ(engine_->Doctor()->machine.decided_by, "PYRO_MACHINE");
  const auto result = Run(MachineKind::kKvm);
  EXPECT_EQ(result->machine, "kvm");
  EXPECT_EQ(result->accelerator, "kvm");
  EXPECT_EQ(Run(MachineKind::kAuto)->machine, "tcg");
  ASSERT_TRUE(engine_->UnsetSetting("machine").ok());
  ::unsetenv("PYRO_MACHINE");
  EXPECT_EQ(Run()->machine, "tcg");
}

TEST_F(MachineTest, WhatMakesNoSenseIsRefusedBeforeAnythingIsBuilt) {
  ::setenv("PYRO_MACHINE", "fast", 1);
  EXPECT_EQ(Run().error().message, "PYRO_MACHINE is 'fast'");
  EXPECT_EQ(engine_->CreateTask(Task()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(engine_->CreateVm(Vm()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(engine_->KeepSpares(Vm(), 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(engine_->Doctor()->runtime_ok);
  ::unsetenv("PYRO_MACHINE");
  Set("tcg");
  std::ofstream(configuration_) << "machine = fast\n";
  EXPECT_NE(Run().error().message.find("line 1: machine cannot be 'fast'"), std::string::npos);
  EXPECT_EQ(engine_->KnownMachine(), "");
  EXPECT_FALSE(fs::exists(cache_ / "environments" / "debian-12"));
}

TEST_F(MachineTest, OneThatDoesNotWorkHereIsRefusedWithTheRemedy) {
  const auto refused = Run(MachineKind::kKvm);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_NE(refused.error().message.find("this call asks for the machine kvm"), std::string::npos);
  EXPECT_NE(refused.error().message.find("does not exist"), std::string::npos);
  EXPECT_NE(refused.error().hint.find("virtualization"), std::string::npos);
  const auto report = engine_->Doctor();
  ASSERT_EQ(report->machines.size(), 3u);
  EXPECT_EQ(report->machines[0].name, "kvm");
  EXPECT_FALSE(report->machines[0].works);
  EXPECT_FALSE(report->machines[0].fix.empty());
  EXPECT_TRUE(report->machines[1].works);
  EXPECT_EQ(report->machines[2].fix, "make one");
}

TEST_F(MachineTest, ATaskRemembersItsMachineAlsoWithoutARegistry) {
  MakeKvm();
  const std::string id = Create(MachineKind::kKvm);
  EXPECT_EQ(engine_->StatusTask(id)->machine, "kvm");
  ASSERT_TRUE(engine_->StopTask(id).ok());
  LoseRegistry();
  EXPECT_EQ(engine_->StatusTask(id)->machine, "kvm");
  ::setenv("PYRO_MACHINE", "tcg", 1);  // For new ones.
  const auto result = engine_->ExecTask(id, Shell("true"), 30);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->machine, "kvm");
  EXPECT_TRUE(result->restarted);
  ASSERT_TRUE(engine_->StopTask(id).ok());
  fs::remove(directory_.path() / "kvm");
  const auto refused = engine_->ExecTask(id, Shell("true"), 30);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_NE(refused.error().message.find(id + " asks for the machine kvm"), std::string::npos);
}

TEST_F(MachineTest, ATaskThatNamedNoneStartsOnWhatWorks) {
  const std::string id = Create();
  EXPECT_EQ(engine_->StatusTask(id)->machine, "tcg");
  ASSERT_TRUE(engine_->StopTask(id).ok());
  MakeKvm();
  ::setenv("PYRO_ACCELERATOR", "kvm", 1);
  EXPECT_EQ(engine_->ExecTask(id, Shell("true"), 30)->machine, "kvm");
}

TEST_F(MachineTest, ATaskOfAMachineThatThisPyroDoesNotKnowIsLeftAlone) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->StopTask(id).ok());
  LoseRegistry();
  const fs::path manifest = DirectoryOf(id) / "manifest.json";
  std::string text = *sys::ReadFile(manifest, 1 << 16);
  const std::string_view none = "\"machine\": \"\"";
  ASSERT_NE(text.find(none), std::string::npos) << text;
  text.replace(text.find(none), none.size(), "\"machine\": \"quantum\"");
  std::ofstream(manifest) << text;
  const auto refused = engine_->ExecTask(id, Shell("true"), 30);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(refused.error().message.find("'quantum'"), std::string::npos);
  EXPECT_FALSE(refused.error().hint.empty());
}

TEST_F(MachineTest, AVmIsStartedOnTheMachineThatItWasMadeFor) {
  MakeKvm();
  VmOptions options = Vm();
  options.machine = MachineKind::kKvm;
  const auto made = engine_->CreateVm(options);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->machine, "kvm");
  EXPECT_EQ(made->accelerator, "");
  EXPECT_EQ(engine_->StartVm(made->vm_id)->machine, "kvm");
  EXPECT_EQ(engine_->CreateVm(Vm())->machine, "");
}

TEST_F(MachineTest, UserModeIsChosenOnlyIfTheUserHasAllowedItAndNotWhereKvmWorks) {
  MakeUsermode();
  EXPECT_EQ(Run()->machine, "tcg");
  const auto asked = Run(MachineKind::kUsermode);
  ASSERT_TRUE(asked.ok()) << asked.error().message;
  EXPECT_EQ(asked->machine, "usermode");
  EXPECT_EQ(asked->accelerator, "usermode");
  ASSERT_TRUE(engine_->SetSetting("machine.without_kvm", "usermode").ok());
  EXPECT_EQ(Run()->machine, "usermode");
  EXPECT_EQ(engine_->KnownMachine(), "usermode");
  const auto report = engine_->Doctor();
  EXPECT_EQ(report->machine.name, "usermode");
  EXPECT_EQ(report->machine.decided_by, configuration_.native());
  EXPECT_EQ(report->machines.back().name, "usermode");
  EXPECT_TRUE(report->machines.back().works);
  EXPECT_EQ(Run(MachineKind::kTcg)->machine, "tcg");
  // If it does not work, then the thicker wall takes its place.
  world_.usermode = MakeError(ErrorCode::kMissingTool, "no kernel", "make one");
  EXPECT_EQ(Run()->machine, "tcg");
  const auto refused = Run(MachineKind::kUsermode);
  EXPECT_EQ(refused.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_EQ(refused.error().hint, "make one");
}

TEST_F(MachineTest, TheWallOfATaskNeverBecomesThinner) {
  MakeUsermode();
  const std::string before = Create();
  ASSERT_TRUE(engine_->StopTask(before).ok());
  ASSERT_TRUE(engine_->SetSetting("machine.without_kvm", "usermode").ok());
  EXPECT_EQ(engine_->ExecTask(before, Shell("true"), 30)->machine, "tcg");
  const std::string after = Create();
  EXPECT_EQ(engine_->StatusTask(after)->machine, "usermode");
  ASSERT_TRUE(engine_->StopTask(after).ok());
  ASSERT_TRUE(engine_->UnsetSetting("machine.without_kvm").ok());
  EXPECT_EQ(engine_->ExecTask(after, Shell("true"), 30)->machine, "usermode");
  ASSERT_TRUE(engine_->StopTask(before).ok());
  ::setenv("PYRO_MACHINE", "usermode", 1);
  EXPECT_EQ(engine_->ExecTask(before, Shell("true"), 30)->machine, "tcg");
  ::unsetenv("PYRO_MACHINE");
  ASSERT_TRUE(engine_->StopTask(before).ok());
  ::setenv("PYRO_ACCELERATOR", "usermode", 1);
  EXPECT_EQ(engine_->ExecTask(before, Shell("true"), 30)->machine, "tcg");
  const std::string last = Create();
  EXPECT_EQ(engine_->StatusTask(last)->machine, "usermode");
  ASSERT_TRUE(engine_->StopTask(last).ok());
  ::unsetenv("PYRO_ACCELERATOR");
  EXPECT_EQ(engine_->ExecTask(last, Shell("true"), 30)->machine, "usermode");
}

TEST_F(MachineTest, UserModeHasOneCpu) {
  MakeUsermode();
  VmOptions options = Vm();
  options.vcpu_count = 2;
  options.machine = MachineKind::kUsermode;
  for (const Error& error :
       {engine_->RunInVm(options, Shell("true"), 30).error(), engine_->CreateVm(options).error()}) {
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.message, "a guest in user mode has one CPU, not 2");
    EXPECT_EQ(error.hint, "ask for one CPU, or for the machine tcg");
  }
  options.machine = std::nullopt;
  ASSERT_TRUE(engine_->SetSetting("machine.without_kvm", "usermode").ok());
  EXPECT_EQ(engine_->RunInVm(options, Shell("true"), 30).error().code, ErrorCode::kInvalidArgument);
  // It could never be started.
  const auto refused = engine_->CreateVm(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message, "a guest in user mode has one CPU, not 2");
}

TEST_F(MachineTest, UserModeHasNoTemplatesButSparesOfItsOwn) {
  MakeUsermode();
  StartWarm();
  VmOptions options = Vm();
  options.machine = MachineKind::kUsermode;
  EXPECT_EQ(engine_->RunInVm(options, Shell("true"), 30)->timings.start, "boot");
  EXPECT_EQ(engine_->RunInVm(options, Shell("true"), 30)->timings.start, "boot");
  const auto pool = engine_->KeepSpares(options, 1);
  ASSERT_TRUE(pool.ok()) << pool.error().message;
  EXPECT_EQ(pool->machine, "usermode");
  EXPECT_NE(Run(MachineKind::kTcg)->timings.start, "spare");
  EXPECT_EQ(Run(MachineKind::kUsermode)->timings.start, "spare");
  EXPECT_EQ(engine_->KeepSpares(options, 0)->waiting, 0);
}

TEST_F(MachineTest, WhatUserModeWouldGainIsSaidOnceAndNotWithoutNeed) {
  std::vector<std::string> said;
  CallIo io;
  const auto run = [&](std::optional<MachineKind> machine) {
    VmOptions options = Vm();
    options.machine = machine;
    ASSERT_TRUE(engine_->RunInVm(options, Shell("true"), 30, io).ok());
  };
  ::unsetenv("PYRO_ACCELERATOR");
  run(std::nullopt);  // Without a receiver it waits.
  io.on_advice = [&](std::string_view text) { said.emplace_back(text); };
  run(std::nullopt);  // User mode does not work here.
  EXPECT_TRUE(said.empty());
  MakeUsermode();
  run(MachineKind::kUsermode);
  EXPECT_TRUE(said.empty());
  run(std::nullopt);
  run(std::nullopt);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("thinner"), std::string::npos);
  EXPECT_NE(said[0].find("pyro config set machine.without_kvm usermode"), std::string::npos);
  EXPECT_EQ(said[0].find('\n'), std::string::npos);
}

TEST_F(MachineTest, ItIsSaidToACallThatWaitsForACommandInTheBackground) {
  MakeUsermode();
  const std::string id = Create();
  const auto started = engine_->StartTaskCommand(id, Shell("true"), 0);
  ASSERT_TRUE(started.ok()) << started.error().message;
  const auto wait = [&](const CallIo& io) {
    const auto command = engine_->GetTaskCommand(id, 1, std::chrono::minutes(1), io);
    ASSERT_TRUE(command.ok()) << command.error().message;
    EXPECT_EQ(command->state, CommandState::kEnded);
  };
  wait({});
  int said = 0;
  CallIo io;
  io.on_advice = [&](std::string_view) { ++said; };
  wait(io);
  wait(io);
  EXPECT_EQ(said, 1);
}

TEST_F(MachineTest, ASpareOfAnotherMachineIsNotTaken) {
  StartWarm();
  MakeKvm();
  VmOptions options = Vm();
  options.machine = MachineKind::kKvm;
  const auto pool = engine_->KeepSpares(options, 1);
  ASSERT_TRUE(pool.ok()) << pool.error().message;
  EXPECT_EQ(pool->machine, "kvm");
  EXPECT_EQ(pool->waiting, 1);
  EXPECT_NE(Run()->timings.start, "spare");
  const auto taken = Run(MachineKind::kKvm);
  EXPECT_EQ(taken->timings.start, "spare");
  EXPECT_EQ(taken->machine, "kvm");
  EXPECT_EQ(engine_->KeepSpares(options, 0)->waiting, 0);
}

}  // namespace
}  // namespace pyro::engine
