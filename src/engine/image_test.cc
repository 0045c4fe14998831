// Environments that are made of images: their names, and what commands get of their configuration.

#include <string>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

constexpr const char* kSource = "oci:localhost:5000/team/app";
constexpr const char* kName = "localhost:5000/team/app:latest";

class ImageTest : public EngineFixture {
 protected:
  ImageTest() {
    world_.image.env = {"FROM=image", "PATH=/usr/bin:/bin", "BOTH=image"};
    world_.image.working_dir = "/tmp/app dir";
  }

  static VmOptions Of(const std::string& environment) {
    VmOptions options = Vm();
    options.environment = environment;
    return options;
  }

  Result<ExecResult> Run(const std::string& environment, const Command& command) {
    return engine_->RunInVm(Of(environment), command, 30);
  }
};

TEST_F(ImageTest, TheFirstUseOfASourcePullsItAndItsNameStandsWithAndWithoutPrefix) {
  const auto missing = Run("localhost:5000/team/app", Shell("true"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().hint.find("pyro env pull oci:localhost:5000/team/app"),
            std::string::npos)
      << missing.error().hint;
  for (const char* name : {kSource, "localhost:5000/team/app", kName}) {
    const auto result = Run(name, Shell("echo $FROM"));
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->stdout_text, "image\n");
    EXPECT_EQ(result->environment, kName);
  }
  const auto list = engine_->ListEnvironments();
  ASSERT_TRUE(list);
  EXPECT_EQ(list->back().name, kName);
  EXPECT_FALSE(list->back().source.empty());
  EXPECT_FALSE(list->back().last_used_at.empty());
}

TEST_F(ImageTest, AnArchiveIsNoEnvironmentAndTheErrorSaysHowItBecomesOne) {
  const auto result = Run("oci-archive:/nowhere/app.tar", Shell("true"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_NE(result.error().hint.find("pyro env pull oci-archive:/nowhere/app.tar"),
            std::string::npos)
      << result.error().hint;
}

TEST_F(ImageTest, ARunHasTheImagesVariablesAndDirectoryUnderItsOwn) {
  Command command = Shell("echo $FROM $BOTH; pwd");
  command.env = {{"BOTH", "call"}};
  const auto result = Run(kSource, command);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->stdout_text, "image call\n/tmp/app dir\n");
  command.cwd = "/";
  EXPECT_EQ(Run(kSource, command)->stdout_text, "image call\n/\n");
}

TEST_F(ImageTest, AnImageWithoutADirectoryRunsInTheRoot) {
  world_.image.working_dir.clear();
  EXPECT_EQ(Run(kSource, Shell("pwd"))->stdout_text, "/\n");
}

TEST_F(ImageTest, WithoutWordsAnImageRunsItsOwnCommandAndNothingElseHasOne) {
  world_.image.entrypoint = {"printf", "%s|"};
  world_.image.command = {"a b", "c"};
  const auto result = Run(kSource, Command());
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->stdout_text, "a b|c|");
  EXPECT_EQ(Run("debian:12", Command()).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ImageTest, AnImageWithoutACommandSaysSo) {
  const auto result = Run(kSource, Command());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(result.error().message, "the image names no command of its own");
}

TEST_F(ImageTest, AUserThatTheImageNamesAndLacksIsToldByTheCommand) {
  world_.image.user = "nosuchuser";
  const auto result = Run(kSource, Shell("true"));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->outcome, Outcome::kNotStarted);
  EXPECT_NE(result->explanation.message.find("nosuchuser"), std::string::npos);
  Command command = Shell("id -un");
  command.user = "root";
  EXPECT_EQ(Run(kSource, command)->exit_code, 0);
}

TEST_F(ImageTest, ACommandOfAVmHasThemToo) {
  const auto vm = engine_->CreateVm(Of(kSource));
  ASSERT_TRUE(vm) << vm.error().message;
  EXPECT_EQ(vm->environment, kName);
  ASSERT_TRUE(engine_->StartVm(vm->vm_id));
  EXPECT_EQ(engine_->ExecVm(vm->vm_id, Shell("echo $FROM; pwd"), 30)->stdout_text,
            "image\n/tmp/app dir\n");
}

TEST_F(ImageTest, ATaskHasTheVariablesAndStaysInItsWorkspace) {
  TaskOptions options = Task();
  options.environment = kSource;
  options.env = {{"BOTH", "task"}};
  const auto task = engine_->CreateTask(options);
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->environment, kName);
  EXPECT_EQ(engine_->ExecTask(task->task_id, Shell("echo $FROM $BOTH; pwd"), 30)->stdout_text,
            "image task\n/workspace\n");
}

TEST_F(ImageTest, ATaskRunsInTheImagesDirectoryIfAsked) {
  TaskOptions options = Task();
  options.environment = kSource;
  options.image_cwd = true;
  const auto task = engine_->CreateTask(options);
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->defaults.cwd, "/tmp/app dir");
  EXPECT_EQ(engine_->ExecTask(task->task_id, Shell("pwd"), 30)->stdout_text, "/tmp/app dir\n");
  options.cwd = "/";
  EXPECT_EQ(engine_->CreateTask(options).error().code, ErrorCode::kInvalidArgument);
  options.cwd.clear();
  options.environment = "debian:12";
  EXPECT_EQ(engine_->CreateTask(options).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ImageTest, ATagIsTheSameImageAndARemovalSparesWhatATaskNeeds) {
  ASSERT_TRUE(engine_->PullEnvironment({{kSource}}));
  const auto tagged = engine_->TagEnvironment("localhost:5000/team/app", "app");
  ASSERT_TRUE(tagged) << tagged.error().message;
  EXPECT_EQ(tagged->name, "app");
  EXPECT_EQ(engine_->TagEnvironment("debian:12", "other").error().code, ErrorCode::kNotFound);
  TaskOptions options = Task();
  options.environment = "app";
  const auto task = engine_->CreateTask(options);
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(engine_->RemoveEnvironment("app").error().code, ErrorCode::kWrongState);
  EXPECT_TRUE(engine_->RemoveEnvironment(kSource));
  EXPECT_EQ(engine_->RemoveEnvironment(kSource).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(engine_->ExecTask(task->task_id, Shell("echo $FROM"), 30)->stdout_text, "image\n");
  ASSERT_TRUE(engine_->DeleteTask(task->task_id));
  const auto removed = engine_->RemoveEnvironment("app");
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(removed->environment, "app");
}

TEST_F(ImageTest, TheTagLatestNeedNotBeSaid) {
  ASSERT_TRUE(engine_->PullEnvironment({{kSource}}));
  ASSERT_TRUE(engine_->TagEnvironment(kName, "tool:latest"));
  const auto result = Run("tool", Shell("true"));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->environment, "tool:latest");
}

TEST_F(ImageTest, ARemovalOfANameThatIsGoneSparesItsLatest) {
  ASSERT_TRUE(engine_->PullEnvironment({{kSource}}));
  ASSERT_TRUE(engine_->TagEnvironment(kName, "tool"));
  ASSERT_TRUE(engine_->TagEnvironment(kName, "tool:latest"));
  ASSERT_TRUE(engine_->RemoveEnvironment("tool"));
  const auto again = engine_->RemoveEnvironment("tool");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(again.error().hint, "pyro env remove tool:latest");
  EXPECT_TRUE(engine_->RemoveEnvironment("tool:latest"));
  // In a registry both are the same name.
  EXPECT_TRUE(engine_->RemoveEnvironment("localhost:5000/team/app"));
}

TEST_F(ImageTest, ATagOfTheCatalogHasNoSource) {
  ASSERT_TRUE(engine_->PullEnvironment({{"debian:12"}}));
  ASSERT_TRUE(engine_->TagEnvironment("debian:12", "mine"));
  EXPECT_EQ(engine_->ListEnvironments()->back().description, "tagged from the catalog");
  const auto pulled = engine_->PullEnvironment({{"mine"}});
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ImageTest, InspectionTellsTheConfigurationAndWhereItCameFrom) {
  world_.image.user = "app";
  world_.image.stop_signal = "SIGINT";
  const auto pulled = engine_->PullEnvironment({{kSource}});
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_TRUE(pulled->built);
  const auto details = engine_->InspectEnvironment(kSource, Engine::Verify::kYes);
  ASSERT_TRUE(details) << details.error().message;
  ASSERT_TRUE(details->image);
  EXPECT_EQ(details->image->user, "app");
  EXPECT_EQ(details->image->working_dir, "/tmp/app dir");
  EXPECT_EQ(details->image->stop_signal, "SIGINT");
  EXPECT_EQ(details->image->env, world_.image.env);
  EXPECT_EQ(details->info.image_digest, details->image->source_digest);
  EXPECT_EQ(details->info.source, details->image->source);
  EXPECT_FALSE(engine_->PullEnvironment({{kName}})->built);  // Without the prefix: from its source.
}

TEST_F(ImageTest, OptionsOfImagesAreNoneOfTheCatalog) {
  PullEnvironmentRequest request{{"debian:12"}};
  request.plain_http = true;
  EXPECT_EQ(engine_->PullEnvironment(request).error().code, ErrorCode::kInvalidArgument);
  request = {{"debian:12"}};
  request.name = "other";
  EXPECT_EQ(engine_->PullEnvironment(request).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ImageTest, SparesAreKeptAndEndedByEitherName) {
  EXPECT_EQ(engine_->KeepSpares(Of("localhost:5000/team/app"), 0).error().code,
            ErrorCode::kNotFound);
  ASSERT_TRUE(engine_->PullEnvironment({{kSource}}));
  const auto ended = engine_->KeepSpares(Of(kSource), 0);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->environment, kName);
}

}  // namespace
}  // namespace pyro::engine
