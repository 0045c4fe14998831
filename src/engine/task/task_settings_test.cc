// Names, labels and defaults of tasks, and what changes them.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "pyro/watch.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSecret = "s3cr3t-value";

class TaskSettingsTest : public EngineFixture {
 protected:
  std::string Create(const TaskOptions& options) {
    const auto task = engine_->CreateTask(options);
    EXPECT_TRUE(task.ok()) << task.error().message;
    return task ? task->task_id : "";
  }

  std::string OutputOf(const std::string& id, Command command) {
    const auto result = engine_->ExecTask(id, command, 30);
    return result ? result->stdout_text : result.error().message;
  }

  std::vector<std::string> Listed(const std::vector<std::string>& labels) {
    std::vector<std::string> names;
    const auto tasks = engine_->ListTasks(labels);
    EXPECT_TRUE(tasks.ok()) << tasks.error().message;
    for (const TaskInfo& task : *tasks) names.push_back(task.name);
    return names;
  }

  void LoseRegistry() {
    for (const char* file : {"registry.db", "registry.db-wal", "registry.db-shm"}) {
      fs::remove(state_ / file);
    }
  }

  // Files below the state directory that hold the text.
  std::vector<std::string> FilesWith(std::string_view text) {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(state_)) {
      if (!entry.is_regular_file() || entry.path().filename() == "data.img") continue;
      const auto read = sys::ReadFile(entry.path(), 1 << 26);
      if (read && read->find(text) != std::string::npos) found.push_back(entry.path().filename());
    }
    return found;
  }
};

TEST_F(TaskSettingsTest, ANameStandsForTheIdInEveryCallAndDeletesOneTaskAlone) {
  TaskOptions options = Task();
  options.name = "web";
  const std::string id = Create(options);
  EXPECT_EQ(engine_->StatusTask("web")->task_id, id);
  EXPECT_EQ(engine_->ExecTask("web", Shell("true"), 30)->task_id, id);
  EXPECT_EQ(engine_->LogsTask("web")->entries.size(), 1u);
  EXPECT_EQ(engine_->GetTaskCommand("web", 1)->task_id, id);
  EXPECT_TRUE(engine_->Watch("web").ok());
  const std::string twin = Create(options);
  const auto several = engine_->DeleteTask("web");
  ASSERT_FALSE(several.ok());
  EXPECT_EQ(several.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(several.error().message.find(id), std::string::npos) << several.error().message;
  EXPECT_NE(several.error().message.find(twin), std::string::npos) << several.error().message;
  EXPECT_EQ(*engine_->DeleteTask(id), id);
  EXPECT_EQ(engine_->DeleteTask("we").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(*engine_->DeleteTask("web"), twin);
  // Only a whole id can be deleted twice.
  EXPECT_EQ(engine_->DeleteTask("web").error().code, ErrorCode::kNotFound);
  options.name = id;
  EXPECT_EQ(engine_->CreateTask(options).error().message, "the name '" + id + "' looks like an id");
  EXPECT_TRUE(engine_->ListTasks()->empty());
}

TEST_F(TaskSettingsTest, LabelsChooseTasksAndOutliveTheRegistry) {
  TaskOptions options = Task();
  options.name = "one";
  options.labels = {{"team", "web"}, {"stage", "test"}};
  const std::string one = Create(options);
  options.name = "two";
  options.labels = {{"team", "db"}};
  Create(options);
  EXPECT_EQ(Listed({}), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(Listed({"team"}), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(Listed({"team=web"}), std::vector<std::string>{"one"});
  EXPECT_EQ(Listed({"team=web", "stage"}), std::vector<std::string>{"one"});
  EXPECT_TRUE(Listed({"team=we"}).empty());
  EXPECT_TRUE(Listed({"team=db", "stage"}).empty());
  EXPECT_EQ(engine_->ListTasks({"=web"}).error().code, ErrorCode::kInvalidArgument);

  TaskChanges changes;
  changes.unset = {"labels.stage", "labels.none"};
  changes.labels = {{"team", "ops"}, {"new", ""}};
  const std::map<std::string, std::string> expected = {{"team", "ops"}, {"new", ""}};
  EXPECT_EQ(engine_->UpdateTask("one", changes)->labels, expected);
  ASSERT_TRUE(engine_->StopTask(one).ok());
  ASSERT_TRUE(engine_->StopTask("two").ok());
  LoseRegistry();
  EXPECT_EQ(engine_->StatusTask("one")->labels, expected);
}

TEST_F(TaskSettingsTest, ImpossibleLabelsAreRefusedBeforeAnythingIsMade) {
  const std::map<std::string, std::string> impossible[] = {{{"", "x"}},
                                                           {{"-a", "x"}},
                                                           {{"a b", "x"}},
                                                           {{std::string(64, 'k'), "x"}},
                                                           {{"a", "line\n"}},
                                                           {{"a", "\xff"}},
                                                           {{"a", std::string(257, 'x')}}};
  for (const auto& labels : impossible) {
    TaskOptions options = Task();
    options.labels = labels;
    EXPECT_EQ(engine_->CreateTask(options).error().code, ErrorCode::kInvalidArgument)
        << labels.begin()->first;
  }
  TaskOptions many = Task();
  for (std::size_t i = 0; i <= kMaxLabels; ++i) many.labels["k" + std::to_string(i)] = "";
  EXPECT_EQ(engine_->CreateTask(many).error().message, "there are 65 labels");
  EXPECT_TRUE(engine_->ListTasks()->empty());
}

TEST_F(TaskSettingsTest, CommandsGetTheTasksDefaultsAndTheirOwnValuesGoBefore) {
  TaskOptions options = Task();
  options.env = {{"TOKEN", kSecret}, {"STAGE", "test"}};
  options.cwd = "src";
  options.timeout_seconds = 1;
  const std::string id = Create(options);
  ASSERT_EQ(OutputOf(id, Command{.argv = {"mkdir", "src"}, .script = {}, .cwd = "."}), "");
  EXPECT_EQ(OutputOf(id, Shell("pwd; echo $TOKEN $STAGE")),
            std::string("/workspace/src\n") + kSecret + " test\n");
  Command own = Shell("pwd; echo $TOKEN $STAGE");
  own.env = {{"TOKEN", "mine"}};
  own.cwd = "/workspace";
  EXPECT_EQ(OutputOf(id, own), "/workspace\nmine test\n");
  // The limit: the task's, the call's, and none for a command in the background.
  EXPECT_EQ(engine_->ExecTask(id, Shell("sleep 600"), std::nullopt)->outcome, Outcome::kTimedOut);
  EXPECT_EQ(engine_->LogsTask(id, -1, -1)->entries.back().timeout_seconds, 1);
  EXPECT_EQ(engine_->StartTaskCommand(id, Shell("true"), 0)->timeout_seconds, 0);

  const auto info = engine_->StatusTask(id);
  EXPECT_EQ(info->defaults.env, (std::vector<std::string>{"STAGE", "TOKEN"}));
  EXPECT_EQ(info->defaults.cwd, "src");
  EXPECT_EQ(info->defaults.timeout_seconds, 1);
}

TEST_F(TaskSettingsTest, TheValueOfADefaultIsInOneFileOfItsOwnerAlone) {
  TaskOptions options = Task();
  options.env = {{"TOKEN", kSecret}};
  const std::string id = Create(options);
  ASSERT_TRUE(engine_->ExecTask(id, Shell("true"), 30).ok());
  EXPECT_EQ(FilesWith(kSecret), std::vector<std::string>{"env"});
  EXPECT_EQ(fs::status(DirectoryOf(id) / "env").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  TaskChanges changes;
  changes.unset = {"env.TOKEN"};
  EXPECT_TRUE(engine_->UpdateTask(id, changes)->defaults.env.empty());
  EXPECT_TRUE(FilesWith(kSecret).empty());
  EXPECT_EQ(OutputOf(id, Shell("echo ${TOKEN-none}")), "none\n");
}

TEST_F(TaskSettingsTest, DefaultsOutliveTheRegistryAndABrokenFileOfThemHidesNoTask) {
  TaskOptions options = Task();
  options.name = "web";
  options.env = {{"TOKEN", kSecret}};
  options.cwd = "/tmp";
  options.timeout_seconds = 0;
  const std::string id = Create(options);
  ASSERT_TRUE(engine_->StopTask(id).ok());
  LoseRegistry();
  EXPECT_EQ(OutputOf("web", Shell("pwd; echo $TOKEN")), std::string("/tmp\n") + kSecret + "\n");
  EXPECT_EQ(engine_->StatusTask("web")->defaults.timeout_seconds, 0);

  ASSERT_TRUE(sys::WriteFileAtomically(DirectoryOf(id) / "env", "half a variabl").ok());
  EXPECT_EQ(engine_->ListTasks()->size(), 1u);
  EXPECT_NE(engine_->StatusTask("web")->last_error.find("is broken"), std::string::npos);
  const auto refused = engine_->ExecTask("web", Shell("true"), 30);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kDataLoss);
  TaskChanges changes;
  changes.unset = {"env"};
  ASSERT_TRUE(engine_->UpdateTask("web", changes).ok());
  EXPECT_EQ(OutputOf("web", Shell("echo ${TOKEN-none}")), "none\n");
}

TEST_F(TaskSettingsTest, AnUpdateChangesWhatItNamesAndNothingElse) {
  TaskOptions options = Task();
  options.name = "old";
  options.labels = {{"team", "web"}};
  options.user = "0";
  options.env = {{"A", "1"}, {"B", "2"}};
  const std::string id = Create(options);
  TaskChanges changes;
  changes.name = "new";
  changes.ttl_seconds = 3600;
  changes.env = {{"B", "3"}};
  changes.unset = {"user"};
  const auto told = engine_->UpdateTask("old", changes);
  ASSERT_TRUE(told.ok()) << told.error().message;
  EXPECT_EQ(told->name, "new");
  EXPECT_EQ(told->ttl_seconds, 3600);
  EXPECT_EQ(told->labels.at("team"), "web");
  EXPECT_EQ(told->defaults.user, "");
  EXPECT_EQ(OutputOf(id, Shell("echo $A $B")), "1 3\n");

  for (const char* what : {"", "disk", "Name", "env_"}) {
    changes = {};
    changes.name = "newer";
    changes.unset = {what};
    const auto refused = engine_->UpdateTask(id, changes);
    ASSERT_FALSE(refused.ok()) << what;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument) << what;
    EXPECT_EQ(engine_->StatusTask(id)->name, "new") << what;
  }
  changes = {};
  changes.env = {{"A=B", "x"}};
  EXPECT_EQ(engine_->UpdateTask(id, changes).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(engine_->UpdateTask("task_aaaaaa", {}).error().code, ErrorCode::kNotFound);
}

TEST_F(TaskSettingsTest, VariablesOfAChangeThatNeverCameToBeDoNotCountAndGoWithTheNext) {
  TaskOptions options = Task();
  options.name = "old";
  options.env = {{"A", "1"}};
  const std::string id = Create(options);
  // As a kill before the row's commit leaves it, and then one behind it.
  const auto propose = [&](const std::string& name, char value) {
    const std::string settings = R"({"cwd":"","labels":{},"name":")" + name +
                                 R"(","timeout_seconds":-1,"ttl_seconds":600,"user":""})";
    const std::string text = settings + std::string("\0A=", 3) + value + '\0';
    return sys::WriteFileAtomically(DirectoryOf(id) / "env.new", text).ok();
  };
  ASSERT_TRUE(propose("new", '2'));
  EXPECT_EQ(OutputOf(id, Shell("echo $A")), "1\n");
  ASSERT_TRUE(propose("old", '2'));
  EXPECT_EQ(OutputOf(id, Shell("echo $A")), "2\n");
  ASSERT_TRUE(engine_->RenameTask(id, "third").ok());
  EXPECT_EQ(OutputOf(id, Shell("echo $A")), "2\n");
  ASSERT_TRUE(propose("fourth", '3'));
  ASSERT_TRUE(engine_->RenameTask(id, "fourth").ok());
  EXPECT_EQ(OutputOf(id, Shell("echo $A")), "2\n");
  EXPECT_FALSE(fs::exists(DirectoryOf(id) / "env.new"));
}

TEST_F(TaskSettingsTest, ATaskThatIsStillBeingCreatedTakesNoChange) {
  const std::string id = Create(Task());
  ASSERT_TRUE(sys::WriteFileAtomically(DirectoryOf(id) / "creating", "").ok());
  TaskChanges changes;
  changes.name = "new";
  const auto refused = engine_->UpdateTask(id, changes);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kWrongState);
  EXPECT_NE(refused.error().hint, "");
  fs::remove(DirectoryOf(id) / "creating");
  EXPECT_EQ(engine_->UpdateTask(id, changes)->name, "new");
}

TEST_F(TaskSettingsTest, ARunningGuestTakesAShorterLeaseAtOnce) {
  const std::string id = Create(Task());
  TaskChanges changes;
  changes.ttl_seconds = 1;
  auto events = engine_->Watch(id);
  ASSERT_TRUE(events.ok()) << events.error().message;
  ASSERT_TRUE(engine_->UpdateTask(id, changes).ok());
  // Without it the guest would run for ten minutes.
  for (int i = 0; i < 100 && engine_->StatusTask(id)->state == GuestState::kStarted; ++i) {
    ASSERT_TRUE((*events)->Next(std::chrono::seconds(1), {}).ok());
  }
  EXPECT_EQ(engine_->StatusTask(id)->state, GuestState::kStopped);
}

}  // namespace
}  // namespace pyro::engine
