// Calls by the rows of their operations: documents in, documents out.

#include <gtest/gtest.h>

#include "api/operations.h"
#include "engine/testing/engine_fixture.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

class OperationsTest : public EngineFixture {
 protected:
  // The result's document, or the code of the error.
  Json Call(const char* name, const Json& arguments) {
    const api::Operation* operation = api::FindOperation(name);
    if (operation == nullptr) return "no such operation";
    const auto result = api::Call(*engine_, *operation, arguments);
    return result ? *result : Json(ErrorCodeName(result.error().code));
  }
};

TEST_F(OperationsTest, ATaskLivesFromItsCreationToItsDeletionByRowsAlone) {
  const Json task = Call("task create", {{"environment", "debian:12"}, {"disk_mib", 10240}});
  ASSERT_TRUE(task.is_object()) << task;
  EXPECT_EQ(task["state"], "started");
  const Json id = task["task_id"];

  const Json done = Call("task exec", {{"task_id", id}, {"command", "echo kept > file; exit 3"}});
  EXPECT_EQ(done["exit_code"], 3);
  EXPECT_EQ(done["sequence"], 1);
  EXPECT_EQ(Call("task exec", {{"task_id", id}, {"command", {"cat", "file"}}})["stdout"], "kept\n");

  const Json started =
      Call("task start-command", {{"task_id", id}, {"command", "echo later >&2; sleep 1000"}});
  EXPECT_EQ(started["sequence"], 3);
  const Json page =
      Call("task read-output",
           {{"task_id", id}, {"sequence", 3}, {"stream", "stderr"}, {"wait_seconds", 60}});
  EXPECT_EQ(page["text"], "later\n");
  EXPECT_EQ(page["state"], "running");
  EXPECT_TRUE(page["exit_code"].is_null());
  EXPECT_EQ(Call("task cancel-command", {{"task_id", id}, {"sequence", 3}})["outcome"],
            "cancelled");
  EXPECT_EQ(
      Call("task get-command", {{"task_id", id}, {"sequence", 3}, {"wait_seconds", 60}})["state"],
      "ended");
  EXPECT_EQ(Call("task list-commands", {{"task_id", id}, {"limit", -2}})["count"], 2);
  EXPECT_EQ(Call("task logs", {{"task_id", id}})["entries"][1]["stdout"], "kept\n");

  const auto destination = directory_.path() / "copy";
  const Json exported = Call(
      "task export", {{"task_id", id}, {"path", "file"}, {"destination", destination.native()}});
  EXPECT_EQ(exported["bytes"], 5);
  EXPECT_EQ(*sys::ReadFile(destination, 100), "kept\n");

  EXPECT_EQ(Call("task list", Json::object())["count"], 1);
  EXPECT_EQ(Call("task stop", {{"task_id", id}})["state"], "stopped");
  EXPECT_EQ(Call("task status", {{"task_id", id}})["command_count"], 3);
  EXPECT_EQ(Call("task delete", {{"task_id", id}}), (Json{{"task_id", id}, {"deleted", true}}));
  EXPECT_EQ(Call("task status", {{"task_id", id}}), "not_found");
}

TEST_F(OperationsTest, AVmLivesByRowsAlone) {
  const Json vm = Call("vm create", {{"environment", "debian:12"}});
  ASSERT_TRUE(vm.is_object()) << vm;
  const Json one = {{"vm_id", vm["vm_id"]}};
  EXPECT_EQ(Call("vm start", one)["state"], "started");
  EXPECT_EQ(Call("vm list", Json::object())["count"], 1);
  EXPECT_EQ(Call("vm network-info", one)["address"], Json());
  EXPECT_EQ(Call("vm stop", one)["state"], "stopped");
  const std::string beginning = vm["vm_id"].get<std::string>().substr(0, 12);
  EXPECT_EQ(Call("vm delete", {{"vm_id", beginning}})["vm_id"], vm["vm_id"]);
  EXPECT_EQ(Call("vm status", one), "not_found");
}

TEST_F(OperationsTest, WrongArgumentsAreRefusedBeforeTheCall) {
  EXPECT_EQ(Call("task exec", {{"task_id", "x"}}), "invalid_argument");
  EXPECT_EQ(Call("task create", {{"environment", "debian:12"}, {"disk_mib", 1}}),
            "invalid_argument");
  EXPECT_EQ(Call("task list", Json::object())["count"], 0);
}

TEST_F(OperationsTest, ThisHostIsDescribedByRows) {
  EXPECT_EQ(Call("env list", Json::object())["environments"][0]["name"], "debian:12-base");
  EXPECT_EQ(Call("doctor", Json::object())["accelerator"]["name"], "tcg");
  EXPECT_EQ(Call("warm list", Json::object())["pools"], Json::array());
}

}  // namespace
}  // namespace pyro::engine
