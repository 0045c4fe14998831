// The events of VMs and tasks that a registry has, without guests.

#include "engine/instance/instance_events.h"

#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/instance/instance_files.h"
#include "engine/testing/engine_fixture.h"
#include "state/instance/instance_directory.h"
#include "sys/test_directory.h"

namespace pyro::engine {
namespace {

using state::InstanceEvent;
using state::Registry;

class InstanceEventsTest : public ::testing::Test {
 protected:
  template <typename Options>
  InstanceId Insert(InstanceKind kind, const Options& options) {
    const auto record = registry_.Insert(MakeSpec(kind, options, "digest"));
    EXPECT_TRUE(record.ok()) << record.error().message;
    return record->id;
  }
  InstanceId InsertVm() { return Insert(InstanceKind::kVm, VmOptions()); }
  InstanceId InsertTask() {
    const InstanceId id = Insert(InstanceKind::kTask, TaskOptions());
    EXPECT_TRUE(registry_.Apply(id, InstanceEvent::kStart).ok());
    return id;
  }
  std::int64_t BeginCommand(const InstanceId& id) {
    CommandSpec spec;
    spec.argv = {"true"};
    spec.cwd = "/";
    const auto command = registry_.BeginCommand(id, spec);
    EXPECT_TRUE(command.ok()) << command.error().message;
    return command->sequence;
  }

  // What a look tells: kinds with the numbers of commands, of one id or of all.
  static std::string Look(InstanceEvents& told, Registry& registry, std::vector<Event>& events) {
    const Status status = told.LookAtRows(registry);
    EXPECT_TRUE(status.ok()) << status.error().message;
    std::string text;
    for (const Event& event : std::exchange(events, {})) {
      text += fmt::format("{}{}", text.empty() ? "" : ", ", Name(event.kind));
      if (event.sequence > 0) text += fmt::format(" {}", event.sequence);
    }
    return text;
  }
  std::string Look() { return Look(told_, registry_, events_); }

  sys::TestDirectory directory_;
  FakeWorld world_;
  const Context context_ = FakeContext(
      {.state = directory_.path() / "state", .cache = directory_.path() / "cache"}, world_);
  Result<StateWatch> watch_ = StateWatch::Open(context_.state, context_.cache);
  Registry registry_ = *OpenRegistry(context_);
  std::vector<Event> events_;
  InstanceEvents told_{context_, *watch_, events_, ""};
};

TEST_F(InstanceEventsTest, WhatTheFirstLookFindsIsPresentAndWhatCameLaterWasCreated) {
  InsertVm();
  EXPECT_EQ(Look(), "present");
  InsertVm();
  EXPECT_EQ(Look(), "created");
  InsertTask();
  EXPECT_EQ(Look(), "created, started");
  EXPECT_EQ(Look(), "");
}

TEST_F(InstanceEventsTest, ACommandIsToldFromItsBeginToItsEndHoweverFewLooksThereAre) {
  const InstanceId id = InsertTask();
  const std::int64_t running = BeginCommand(id);
  EXPECT_EQ(Look(), "present, command_began 1");
  ASSERT_TRUE(registry_.EndCommand(id, running, CommandEnd()).ok());
  ASSERT_TRUE(registry_.EndCommand(id, BeginCommand(id), CommandEnd()).ok());
  BeginCommand(id);
  EXPECT_EQ(Look(), "command_ended 1, command_began 2, command_ended 2, command_began 3");
}

TEST_F(InstanceEventsTest, ACommandThatEndedBeforeTheFirstLookIsNotTold) {
  const InstanceId id = InsertTask();
  ASSERT_TRUE(registry_.EndCommand(id, BeginCommand(id), CommandEnd()).ok());
  BeginCommand(id);
  EXPECT_EQ(Look(), "present, command_began 2");
}

TEST_F(InstanceEventsTest, AStopAndAStartBetweenTwoLooksAreBothTold) {
  const InstanceId id = InsertTask();
  EXPECT_EQ(Look(), "present");
  ASSERT_TRUE(registry_.Apply(id, InstanceEvent::kStop).ok());
  world_.clock.Advance(std::chrono::seconds(1));
  ASSERT_TRUE(registry_.Apply(id, InstanceEvent::kStart).ok());
  EXPECT_EQ(Look(), "stopped, started");
  ASSERT_TRUE(registry_.Apply(id, InstanceEvent::kStop).ok());
  EXPECT_EQ(Look(), "stopped");
}

TEST_F(InstanceEventsTest, ADeletionIsToldAndThenNothingIsLeft) {
  const InstanceId id = InsertVm();
  EXPECT_EQ(Look(), "present");
  EXPECT_FALSE(told_.empty());
  ASSERT_TRUE(registry_.Delete(id).ok());
  EXPECT_EQ(Look(), "deleted");
  EXPECT_TRUE(told_.empty());
}

TEST_F(InstanceEventsTest, WhatCameAndWentIsToldOnceItsDirectoryIsGone) {
  EXPECT_EQ(Look(), "");
  const InstanceId id = InsertVm();
  ASSERT_TRUE(registry_.Delete(id).ok());
  const auto directory = state::InstanceDirectory(context_.state, id);
  std::filesystem::create_directories(directory);
  told_.Appeared({id.str(), "no id"});
  EXPECT_EQ(Look(), "");
  std::filesystem::remove_all(directory);
  EXPECT_EQ(Look(), "created, deleted");
  EXPECT_EQ(Look(), "");
}

TEST_F(InstanceEventsTest, OfOneIdNothingElseIsTold) {
  const InstanceId other = InsertTask();
  InstanceEvents one(context_, *watch_, events_, InsertTask().str());
  EXPECT_EQ(Look(one, registry_, events_), "present");
  BeginCommand(other);
  one.Appeared({InstanceId::FromBits(InstanceKind::kVm, {}).str()});
  EXPECT_EQ(Look(one, registry_, events_), "");
}

}  // namespace
}  // namespace pyro::engine
