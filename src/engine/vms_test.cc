// VMs that live until their lease ends: their states, and what becomes of them when something else
// ends first.

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class VmsTest : public EngineFixture {
 protected:
  std::string Create(const VmOptions& options = Vm()) {
    const auto vm = engine_->CreateVm(options);
    EXPECT_TRUE(vm.ok()) << vm.error().message;
    return vm ? vm->vm_id : "";
  }

  std::string CreateStarted(const VmOptions& options = Vm()) {
    const std::string id = Create(options);
    const auto started = engine_->StartVm(id);
    EXPECT_TRUE(started.ok()) << started.error().message;
    return id;
  }

  std::string StateOf(const std::string& id) {
    const auto vm = engine_->StatusVm(id);
    return std::string(vm ? Name(vm->state) : ErrorCodeName(vm.error().code));
  }
};

TEST_F(VmsTest, AVmIsCreatedStartedStoppedStartedAgainAndDeleted) {
  const auto created = engine_->CreateVm(Vm());
  ASSERT_TRUE(created.ok()) << created.error().message;
  EXPECT_EQ(created->state, GuestState::kCreated);
  EXPECT_EQ(created->execution_mode, ExecutionMode::kPending);
  EXPECT_EQ(created->environment, "debian:12");
  EXPECT_EQ(created->vcpu_count, 1);
  EXPECT_EQ(created->mem_mib, 1024);
  EXPECT_EQ(created->ttl_seconds, 600);
  const std::string& id = created->vm_id;
  EXPECT_EQ(SupervisorOf(id), 0);

  const auto started = engine_->StartVm(id);
  ASSERT_TRUE(started.ok()) << started.error().message;
  EXPECT_EQ(started->state, GuestState::kStarted);
  EXPECT_EQ(started->execution_mode, ExecutionMode::kGuestVirtioSerial);
  EXPECT_EQ(started->accelerator, "tcg");
  EXPECT_GT(SupervisorOf(id), 0);
  EXPECT_EQ(engine_->StartVm(id)->state, GuestState::kStarted);  // Fine.

  const auto stopped = engine_->StopVm(id);
  ASSERT_TRUE(stopped.ok()) << stopped.error().message;
  EXPECT_EQ(stopped->state, GuestState::kStopped);
  EXPECT_EQ(SupervisorOf(id), 0);
  EXPECT_EQ(engine_->StopVm(id)->state, GuestState::kStopped);  // Fine.

  ASSERT_TRUE(engine_->StartVm(id).ok());
  ASSERT_TRUE(engine_->DeleteVm(id).ok());  // In any state.
  EXPECT_EQ(StateOf(id), "not_found");
  EXPECT_FALSE(fs::exists(DirectoryOf(id)));
  EXPECT_EQ(engine_->DeleteVm(id).error().code, ErrorCode::kNotFound);
}

TEST_F(VmsTest, ACommandRunsInAStartedVmAndIsItsLast) {
  const std::string id = CreateStarted();
  const auto result = engine_->ExecVm(id, Shell("echo hello; exit 5"), 30);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->stdout_text, "hello\n");
  EXPECT_EQ(result->exit_code, 5);
  EXPECT_EQ(StateOf(id), "not_found");
}

TEST_F(VmsTest, WhatAStateDoesNotAllowIsRefused) {
  const std::string id = Create();
  EXPECT_EQ(engine_->ExecVm(id, Shell("true"), 30).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(engine_->StopVm(id).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(StateOf(id), "created");
}

TEST_F(VmsTest, AVmIsFoundByTheBeginningOfItsId) {
  const std::string id = Create();
  EXPECT_EQ(engine_->StatusVm(id.substr(0, 10))->vm_id, id);
  EXPECT_EQ(engine_->StatusVm("vm_aaaaaaaa").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(engine_->StatusVm(id.substr(3, 8))->vm_id, id);
  EXPECT_EQ(engine_->StatusVm("no id!").error().code, ErrorCode::kInvalidArgument);
  ASSERT_EQ(engine_->ListVms()->size(), 1u);
  EXPECT_EQ(engine_->ListVms()->at(0).vm_id, id);
}

TEST_F(VmsTest, WithoutANetworkThereIsNothingToTellOfOne) {
  const std::string id = CreateStarted();
  const auto network = engine_->NetworkInfoVm(id);
  ASSERT_TRUE(network.ok());
  EXPECT_FALSE(network->network_enabled);
  EXPECT_EQ(network->address, "");
}

TEST_F(VmsTest, AVmThatIsOffIsClearedWhenItsLeaseIsOver) {
  const std::string id = Create();
  world_.clock.Advance(599s);
  EXPECT_EQ(StateOf(id), "created");
  world_.clock.Advance(1s);
  const auto reaped = engine_->ReapExpired();
  ASSERT_TRUE(reaped.ok());
  ASSERT_EQ(reaped->vm_ids.size(), 1u);
  EXPECT_EQ(reaped->vm_ids[0], id);
  EXPECT_FALSE(fs::exists(DirectoryOf(id)));
  EXPECT_TRUE(engine_->ReapExpired()->vm_ids.empty());
}

// Its own supervisor keeps the lease of a VM that runs.
TEST_F(VmsTest, AVmWithASupervisorIsNotClearedByOthers) {
  const std::string id = CreateStarted();
  world_.clock.Advance(24h);
  EXPECT_TRUE(engine_->ReapExpired()->vm_ids.empty());
  EXPECT_EQ(StateOf(id), "started");
}

TEST_F(VmsTest, ASupervisorThatIsKilledLeavesAVmThatCanBeStartedAgain) {
  const std::string id = CreateStarted();
  KillSupervisor(id);
  const auto lost = engine_->StatusVm(id);
  ASSERT_TRUE(lost.ok());
  EXPECT_EQ(lost->state, GuestState::kStopped);
  EXPECT_NE(lost->last_error.find("supervisor was killed"), std::string::npos);
  const auto again = engine_->StartVm(id);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->state, GuestState::kStarted);
  EXPECT_EQ(again->last_error, "");
}

TEST_F(VmsTest, AGuestThatIsLostIsRecordedByItsSupervisor) {
  const std::string id = CreateStarted();
  KillGuest(id);
  const auto lost = engine_->StatusVm(id);
  ASSERT_TRUE(lost.ok());
  EXPECT_EQ(lost->state, GuestState::kStopped);
  EXPECT_NE(lost->last_error.find("the guest is gone"), std::string::npos) << lost->last_error;
}

TEST_F(VmsTest, ARowWithoutADirectoryIsCleared) {
  const std::string id = Create();
  ASSERT_TRUE(sys::RemoveTree(DirectoryOf(id)).ok());
  EXPECT_EQ(engine_->ReapExpired()->vm_ids.size(), 1u);
  EXPECT_TRUE(engine_->ListVms()->empty());
}

TEST_F(VmsTest, ADirectoryWithoutARowIsCleared) {
  const std::string id = Create();
  const fs::path stray = state_ / "vms" / ("vm_" + std::string(26, 'a'));
  fs::create_directories(stray);
  const auto reaped = engine_->ReapExpired();
  ASSERT_TRUE(reaped.ok());
  EXPECT_EQ(reaped->leftovers, 1);
  EXPECT_FALSE(fs::exists(stray));
  EXPECT_EQ(StateOf(id), "created");
}

TEST_F(VmsTest, WhereNothingEverWasNothingIsMadeToBeCleared) {
  ASSERT_TRUE(engine_->ReapExpired().ok());
  EXPECT_FALSE(fs::exists(state_));
}

TEST_F(VmsTest, AGuestThatDoesNotStartLeavesTheVmAsItWas) {
  const std::string id = Create();
  ReplaceKernel("panic!");
  const auto failed = engine_->StartVm(id);
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message.find("Kernel panic"), std::string::npos)
      << failed.error().message;
  EXPECT_EQ(StateOf(id), "created");
  ReplaceKernel("kernel");
  EXPECT_TRUE(engine_->StartVm(id).ok());
}

TEST_F(VmsTest, AVmOnTheHostHasTheSameStatesWithoutASupervisor) {
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror");
  VmOptions options = Vm();
  options.allow_host_compat = true;
  std::vector<std::string> notices;
  CallIo io;
  io.on_notice = [&](std::string_view text) { notices.emplace_back(text); };
  const auto created = engine_->CreateVm(options, io);
  ASSERT_TRUE(created.ok()) << created.error().message;
  const auto started = engine_->StartVm(created->vm_id, io);
  ASSERT_TRUE(started.ok()) << started.error().message;
  EXPECT_EQ(started->execution_mode, ExecutionMode::kHostCompat);
  EXPECT_EQ(notices.size(), 2u);
  EXPECT_EQ(engine_->StartVm(created->vm_id)->state, GuestState::kStarted);
  EXPECT_EQ(engine_->ReapExpired()->vm_ids.size(), 0u);
  const auto result = engine_->ExecVm(created->vm_id, Shell("echo here; pwd"), 30);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->stdout_text, "here\n/workspace\n");
  EXPECT_EQ(result->execution_mode, ExecutionMode::kHostCompat);
  EXPECT_EQ(StateOf(created->vm_id), "not_found");
}

}  // namespace
}  // namespace pyro::engine
