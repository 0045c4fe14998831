// pyro watch.

#include <signal.h>

#include <string>

#include <gtest/gtest.h>

#include "front/cli/commands.h"
#include "front/cli/testing/cli_fixture.h"

namespace pyro::cli {
namespace {

class CliWatchTest : public CliFixture {};

TEST_F(CliWatchTest, EachEventIsALineUntilCtrlC) {
  const std::string id = CreateTask();
  const Running watch = Start({"watch"});
  AwaitOutput(watch, id + " started before\n");
  EXPECT_EQ(Pyro({"task", "exec", "-q", id, "--", "sh", "-c", "echo hi; exit 3"}).code, 3);
  AwaitOutput(watch, id + " command 1 ended: exited (exit_code=3)\n");
  ::kill(watch.pid, SIGINT);
  const Told told = Join(watch);
  EXPECT_EQ(told.code, 130);
  EXPECT_EQ(told.err, "");
}

TEST_F(CliWatchTest, AsJsonEachEventIsADocumentOnALineAndADeletionIsTheLastOfItsTask) {
  const std::string id = CreateTask();
  const Running watch = Start({"watch", "--json", id});
  AwaitOutput(watch, R"("event":"present")");
  EXPECT_EQ(Pyro({"task", "delete", id}).code, 0);
  const Told told = Join(watch);
  EXPECT_EQ(told.code, 0);
  const std::size_t last = told.out.rfind('\n', told.out.size() - 2) + 1;
  const auto event = ParseJson(told.out.substr(last));
  ASSERT_TRUE(event.ok()) << told.out;
  EXPECT_EQ((*event)["event"], "deleted");
  EXPECT_EQ((*event)["id"], id);
  EXPECT_TRUE((*event)["at"].is_string());
}

TEST_F(CliWatchTest, AnIdThatDoesNotExistIsAFailure) {
  const Told told = Pyro({"watch", "task_aaaaaaaaaaaaaaaaaaaaaaaaaa"});
  EXPECT_EQ(told.code, kExitFailed);
  EXPECT_TRUE(told.err.starts_with("pyro: ")) << told.err;
}

}  // namespace
}  // namespace pyro::cli
