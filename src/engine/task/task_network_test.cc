// The rules of a task's network, and their change while its guest runs.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "state/instance/instance_directory.h"
#include "state/registry.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

using Rules = std::vector<std::string>;

class TaskNetworkTest : public EngineFixture {
 protected:
  // A task whose guest runs. Its row says that it has a network, which no fake guest has.
  std::string Create() {
    const auto task = engine_->CreateTask(Task());
    EXPECT_TRUE(task.ok()) << task.error().message;
    SetNetwork(task->task_id, true);
    return task->task_id;
  }

  void SetNetwork(const std::string& id, bool network) {
    auto registry = state::Registry::Open(state_, world_.clock);
    ASSERT_TRUE(registry.ok());
    const auto set = registry->Configure(*InstanceId::Parse(InstanceKind::kTask, id),
                                         [&](state::InstanceSpec& spec) {
                                           spec.network = network;
                                           return OkStatus();
                                         });
    ASSERT_TRUE(set.ok()) << set.error().message;
  }
};

TEST_F(TaskNetworkTest, AChangeIsStoredToldToTheGuestAndWrittenInTheJournal) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->ExecTask(id, Shell("true"), 0).ok());
  const auto allowed = engine_->AllowInTask(id, {"a.example:443", "b.example"});
  ASSERT_TRUE(allowed.ok()) << allowed.error().message;
  const Rules rules = {"allow *", "allow a.example:443", "allow b.example"};
  EXPECT_EQ(allowed->network_rules, rules);
  ASSERT_TRUE(engine_->DenyInTask(id, {"c.example"}).ok());
  // The guest lives: it was asked, not started again.
  EXPECT_EQ(engine_->StatusTask(id)->state, state::InstanceState::kStarted);
  Rules all = rules;
  all.emplace_back("deny c.example");
  EXPECT_EQ(engine_->NetworkTask(id)->network_rules, all);
  EXPECT_EQ(engine_->StatusTask(id)->network_rules, all);
  ASSERT_TRUE(engine_->AllowInTask(id, {"c.example"}).ok());

  const auto logs = engine_->LogsTask(id);
  ASSERT_TRUE(logs.ok()) << logs.error().message;
  ASSERT_EQ(logs->network_changes.size(), 6u);
  EXPECT_EQ(logs->network_changes[1].rule, "allow a.example:443");
  EXPECT_EQ(logs->network_changes[1].sequence, 1);
  EXPECT_EQ(logs->network_changes[4].rule, "no deny c.example");
  const auto manifest = sys::ReadFile(DirectoryOf(id) / "manifest.json", 1 << 20);
  EXPECT_NE(manifest->find("allow c.example"), std::string::npos);
}

TEST_F(TaskNetworkTest, AStoppedTaskTakesRulesForItsNextGuest) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->StopTask(id).ok());
  ASSERT_TRUE(engine_->AllowInTask(id, {"a.example"}).ok());
  EXPECT_EQ(engine_->StatusTask(id)->state, state::InstanceState::kStopped);
  EXPECT_EQ(engine_->NetworkTask(id)->network_rules, (Rules{"allow *", "allow a.example"}));
}

TEST_F(TaskNetworkTest, WhatMakesNoSenseChangesNothing) {
  const std::string id = Create();
  EXPECT_EQ(engine_->AllowInTask(id, {"a.example", "no/host"}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_TRUE(engine_->NetworkTask(id)->network_rules.empty());
  EXPECT_TRUE(engine_->LogsTask(id)->network_changes.empty());
  SetNetwork(id, false);
  EXPECT_EQ(engine_->AllowInTask(id, {"a.example"}).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(engine_->DenyInTask("task_nosuchtask", {"a.example"}).error().code,
            ErrorCode::kNotFound);
}

}  // namespace
}  // namespace pyro::engine
