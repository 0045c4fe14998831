// pyro task, verb by verb.

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "front/cli/closing.h"
#include "front/cli/commands.h"
#include "front/cli/testing/cli_fixture.h"
#include "sys/files.h"

namespace pyro::cli {
namespace {

namespace fs = std::filesystem;

class CliTaskTest : public CliFixture {
 protected:
  Told Exec(const std::string& id, const std::string& script) {
    return Pyro({"task", "exec", "-q", id, "--", "sh", "-c", script});
  }
};

TEST_F(CliTaskTest, CreatePrintsTheIdThatTheOtherVerbsTake) {
  const Told created = Pyro({"task", "create", "-q", "debian:12"});
  ASSERT_EQ(created.code, 0) << created.err;
  const std::string id = created.out.substr(0, created.out.find('\n'));
  EXPECT_EQ(created.out, id + "\n");
  EXPECT_TRUE(id.starts_with("task_")) << id;

  const Told told = Pyro({"task", "exec", id, "--", "sh", "-c", "echo out; echo err >&2; exit 4"});
  EXPECT_EQ(told.code, 4);
  EXPECT_EQ(told.out, "out\n");
  EXPECT_NE(told.err.find(" sequence=1 task_id=" + ShortId(id)), std::string::npos) << told.err;

  const Told status = Pyro({"task", "status", id});
  EXPECT_EQ(status.code, 0);
  EXPECT_NE(status.out.find("Task: " + id), std::string::npos) << status.out;
  EXPECT_NE(status.out.find("exit_code=4"), std::string::npos) << status.out;
  EXPECT_EQ(Pyro({"task", "status", "--json", id}).json()["task_id"], id);

  const Told list = Pyro({"task", "list"});
  EXPECT_NE(list.out.find("debian:12"), std::string::npos) << list.out;
  EXPECT_NE(list.out.find("started"), std::string::npos);
  EXPECT_EQ(Pyro({"task", "list", "-q"}).out, id + "\n");
  EXPECT_EQ(Pyro({"task", "list", "--json"}).json().dump().find(id) == std::string::npos, false);

  const Told stopped = Pyro({"task", "stop", id});
  EXPECT_EQ(stopped.code, 0);
  EXPECT_NE(stopped.out.find("stopped"), std::string::npos) << stopped.out;
  EXPECT_EQ(Pyro({"task", "stop", "-q", id}).out, "");
  EXPECT_NE(Exec(id, "true").code, 125);

  const Told deleted = Pyro({"task", "delete", id});
  EXPECT_EQ(deleted.code, 0);
  EXPECT_NE(deleted.out.find(id), std::string::npos);
  const Told gone = Pyro({"task", "status", id});
  EXPECT_EQ(gone.code, 1);
  EXPECT_TRUE(gone.err.starts_with("pyro: ")) << gone.err;
}

TEST_F(CliTaskTest, CreateShowsTheTaskToPeopleAndAsJson) {
  const Told people = Pyro({"task", "create", "debian:12"});
  EXPECT_EQ(people.code, 0) << people.err;
  EXPECT_NE((people.out + people.err).find("task_"), std::string::npos);
  const Told json =
      Pyro({"task", "create", "--json", "--vcpu-count", "2", "--mem-mib", "512", "debian:12"});
  EXPECT_EQ(json.json()["vcpu_count"], 2) << json.out << json.err;
  EXPECT_EQ(json.json()["mem_mib"], 512);
  EXPECT_EQ(Pyro({"task", "create", "--disk-mib", "1", "debian:12"}).code, kExitUsage);
}

TEST_F(CliTaskTest, ACommandMadeFromItsRowShowsItsResultToPeopleAndAsJson) {
  const std::string id =
      Pyro({"task", "create", "--json", "--name", "old", "debian:12"}).json()["task_id"];
  EXPECT_NE(Pyro({"task", "status", id}).out.find("Name: old\n"), std::string::npos);
  const Told people = Pyro({"task", "rename", id, "new"});
  EXPECT_EQ(people.code, 0) << people.err;
  EXPECT_NE(people.out.find("Name: new\n"), std::string::npos) << people.out;
  EXPECT_EQ(Pyro({"task", "rename", "--json", id, "newer"}).json()["name"], "newer");
  EXPECT_EQ(Pyro({"task", "rename", "-q", id, "newest"}).out, "");
  // JSON has three bytes for each of these, so that the manifest would be refused later.
  const Told bytes = Pyro({"task", "rename", id, std::string(40, '\xff')});
  EXPECT_EQ(bytes.code, kExitUsage);
  EXPECT_TRUE(bytes.err.starts_with("pyro: NAME is not UTF-8")) << bytes.err;
  const Told refused = Pyro({"task", "rename", id, std::string(65, 'x')});
  EXPECT_EQ(refused.code, kExitUsage);
  EXPECT_NE(refused.err.find("NAME has 65 bytes"), std::string::npos) << refused.err;
  EXPECT_EQ(Pyro({"task", "status", "--json", id}).json()["name"], "newest");
}

TEST_F(CliTaskTest, ANameStandsWhereverAnIdDoes) {
  const std::string id =
      Pyro({"task", "create", "--json", "--name", "my web", "debian:12"}).json()["task_id"];
  EXPECT_EQ(Exec("my web", "exit 3").code, 3);
  EXPECT_EQ(Pyro({"task", "status", "--json", "my web"}).json()["task_id"], id);
  EXPECT_EQ(Pyro({"task", "logs", "--json", "my web"}).json()["task_id"], id);
  EXPECT_EQ(Pyro({"task", "stop", "--json", "my web"}).json()["task_id"], id);
  EXPECT_NE(Pyro({"task", "list"}).out.find("  NAME    "), std::string::npos);
  EXPECT_NE(Pyro({"task", "list"}).out.find("  my web  "), std::string::npos);
  EXPECT_LE(PyroOnTerminal({"task", "list"}).Widest(), 80u);

  const std::string twin =
      Pyro({"task", "create", "--json", "--name", "my web", "debian:12"}).json()["task_id"];
  const Told several = Pyro({"task", "delete", "my web"});
  EXPECT_EQ(several.code, kExitFailed);
  EXPECT_NE(several.err.find(id), std::string::npos) << several.err;
  EXPECT_NE(several.err.find(twin), std::string::npos) << several.err;
  EXPECT_EQ(Pyro({"task", "list", "--json"}).json()["count"], 2);
  EXPECT_EQ(Pyro({"task", "rename", "-q", twin, "other"}).code, 0);
  EXPECT_EQ(Pyro({"task", "delete", "my web"}).out, "Deleted task: " + id + "\n");
  const Told gone = Pyro({"task", "delete", "my web"});
  EXPECT_EQ(gone.code, kExitFailed);
  EXPECT_TRUE(gone.err.starts_with("pyro: there is no task 'my web'\n")) << gone.err;
}

TEST_F(CliTaskTest, LabelsAndDefaultsAreOptionsAndNoValueOfAVariableIsShown) {
  const Told made = Pyro({"task", "create", "--json", "--name", "web", "--label", "team=a b",
                          "--label", "stage=", "--env", "TOKEN=s3cr3t", "--cwd", "/", "--user", "0",
                          "--timeout-seconds", "5m", "debian:12"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(made.json()["labels"], (Json{{"team", "a b"}, {"stage", ""}}));
  EXPECT_EQ(made.json()["defaults"],
            (Json{{"env", {"TOKEN"}}, {"cwd", "/"}, {"user", "0"}, {"timeout_seconds", 300}}));
  EXPECT_EQ(made.out.find("s3cr3t"), std::string::npos);
  EXPECT_EQ(Exec("web", "pwd; echo $TOKEN").out, "/\ns3cr3t\n");
  const Told people = Pyro({"task", "status", "web"});
  EXPECT_NE(people.out.find("Labels: stage= team=a b\n"), std::string::npos) << people.out;
  EXPECT_NE(people.out.find("Defaults: env=TOKEN cwd=/ user=0 timeout_seconds=300\n"),
            std::string::npos)
      << people.out;

  EXPECT_EQ(Pyro({"task", "list", "--json", "--label", "team"}).json()["count"], 1);
  EXPECT_EQ(Pyro({"task", "list", "--json", "--label", "team=b"}).json()["count"], 0);
  EXPECT_TRUE(Pyro({"task", "list", "--label", "team=b"}).err.starts_with("no tasks to show;"));
  const Told updated =
      Pyro({"task", "update", "--json", "--label", "team=b", "--unset", "labels.stage", "--unset",
            "env", "--unset", "user", "--ttl-seconds", "1h", "web"});
  ASSERT_EQ(updated.code, 0) << updated.err;
  EXPECT_EQ(updated.json()["labels"], (Json{{"team", "b"}}));
  EXPECT_EQ(updated.json()["ttl_seconds"], 3600);
  EXPECT_EQ(updated.json()["defaults"]["env"], Json::array());
  EXPECT_EQ(updated.json()["defaults"]["user"], nullptr);
  EXPECT_EQ(Exec("web", "echo ${TOKEN-none}").out, "none\n");

  const Told wrong = Pyro({"task", "create", "--label", "team", "debian:12"});
  EXPECT_EQ(wrong.code, kExitUsage);
  EXPECT_EQ(wrong.err, "pyro: --label is 'team'\nhint: give KEY=VALUE\n");
}

TEST_F(CliTaskTest, ACommandWithoutAJournalEndsWithItsPyroAndShowsNoWordsLater) {
  const std::string id = CreateTask();
  const Told told = Pyro({"task", "exec", "-q", "--no-journal", id, "--", "echo", "h1dden"});
  EXPECT_EQ(told.code, 0) << told.err;
  EXPECT_EQ(told.out, "h1dden\n");
  const Told logs = Pyro({"task", "logs", id});
  EXPECT_EQ(logs.out.find("h1dden"), std::string::npos) << logs.out;
  EXPECT_NE(logs.out.find("(not kept)"), std::string::npos) << logs.out;

  const Running running =
      Start({"task", "exec", "--no-journal", id, "--", "sh", "-c", "echo begun; sleep 600"});
  AwaitOutput(running, "begun");
  ::kill(running.pid, SIGKILL);
  EXPECT_EQ(Join(running).code, 128 + SIGKILL);
  const auto ended = engine_->GetTaskCommand(id, 2, std::chrono::seconds(60));
  ASSERT_TRUE(ended.ok()) << ended.error().message;
  EXPECT_EQ(ended->outcome, Outcome::kCancelled);
  EXPECT_TRUE(ended->command.empty());
  EXPECT_EQ(Pyro({"task", "exec", "--background", "--no-journal", id, "--", "true"}).code, 125);
}

TEST_F(CliTaskTest, ANameThatDoesNotLookLikeItselfIsRefused) {
  const Told made = Pyro({"task", "create", "--name", "two\nlines", "debian:12"});
  EXPECT_EQ(made.code, kExitUsage);
  EXPECT_EQ(made.err,
            "pyro: --name holds the character U+000A\n"
            "hint: give it without control and format characters\n");
  EXPECT_EQ(Pyro({"task", "list", "--json"}).json()["count"], 0);
  const std::string id = CreateTask();
  const Told turned = Pyro({"task", "rename", id, "abc\u202Egpj"});
  EXPECT_EQ(turned.code, kExitUsage);
  EXPECT_NE(turned.err.find("NAME holds the character U+202E"), std::string::npos) << turned.err;
  EXPECT_EQ(Pyro({"task", "status", "--json", id}).json()["name"], nullptr);
}

TEST_F(CliTaskTest, TablesHaveAHeadLineAndDurationsTheirUnits) {
  const std::string id = CreateTask();
  ASSERT_EQ(Exec(id, "true").code, 0);
  ASSERT_EQ(Pyro({"task", "snapshot", "create", "-q", id, "after-one"}).code, 0);
  const Told list = Pyro({"task", "snapshot", "list", id});
  EXPECT_TRUE(list.out.starts_with("CREATED                   CMD#  SNAPSHOT\n")) << list.out;
  EXPECT_TRUE(list.out.ends_with("     1  after-one\n")) << list.out;
  EXPECT_EQ(Pyro({"task", "snapshot", "list", "-q", id}).out, "create\nafter-one\n");
  const Told summary = Pyro({"task", "summary", id});
  EXPECT_NE(summary.out.find("\nTime: 0 s\n"), std::string::npos) << summary.out;
}

TEST_F(CliTaskTest, FilesAreListedFromTheWorkspaceOn) {
  const std::string id = CreateTask();
  ASSERT_EQ(Exec(id, "mkdir d; touch d/f").code, 0);
  const Told list = Pyro({"task", "files", "list", "-q", id});
  EXPECT_EQ(list.code, 0) << list.err;
  EXPECT_EQ(list.out, "d\n");
  EXPECT_EQ(Pyro({"task", "files", "list", "-q", id, "d"}).out, "f\n");
  EXPECT_EQ(Pyro({"task", "files", "list", "--json", id}).json()["path"], "/workspace");
}

TEST_F(CliTaskTest, ANameThatBeginsWithADashStandsAfterTwo) {
  const std::string id = CreateTask();
  const Told refused = Pyro({"task", "rename", id, "-name", "-q"});
  EXPECT_EQ(refused.code, kExitUsage);
  EXPECT_NE(refused.err.find("to give it as NAME, write: pyro task rename " + id + " -q -- -name"),
            std::string::npos)
      << refused.err;
  EXPECT_EQ(Pyro({"task", "rename", id, "-q", "--", "-name"}).code, 0);
  EXPECT_EQ(Pyro({"task", "status", "--json", "--", id}).json()["name"], "-name");
  const Told many = Pyro({"task", "rename", id, "--", "--one", "--two"});
  EXPECT_EQ(many.code, kExitUsage);
  EXPECT_NE(many.err.find("'--two' is one word too many for 'pyro task rename'\nhint: leave it "
                          "out: pyro task rename " +
                          id + " -- --one"),
            std::string::npos)
      << many.err;
  EXPECT_NE(Pyro({"task", "rename", id, "--", ""}).err.find("NAME is empty"), std::string::npos);
  EXPECT_NE(Pyro({"task", "rename", "--", id}).err.find("NAME is missing"), std::string::npos);
}

TEST_F(CliTaskTest, ArgumentsThatRepeatGoOnAfterTwoDashes) {
  const std::string one = "task_" + std::string(26, 'a');
  const std::string two = "task_" + std::string(26, 'e');
  const Told told = Pyro({"task", "delete", "--json", one, "--", two});
  ASSERT_EQ(told.code, kExitOk) << told.err;
  EXPECT_EQ(told.json()["count"], 2);
  EXPECT_EQ(Pyro({"task", "delete", "-q", one, two, "--", one, two}).code, kExitOk);
}

TEST_F(CliTaskTest, ADirectorySeedsTheTaskAndComesBack) {
  fs::create_directories(directory_.path() / "source");
  std::ofstream(directory_.path() / "source" / "file") << "seeded\n";
  const Told created = Pyro({"task", "create", "-q", "debian:12", "--source-path",
                             (directory_.path() / "source").native()});
  ASSERT_EQ(created.code, 0) << created.err;
  const std::string id = created.out.substr(0, created.out.find('\n'));
  EXPECT_EQ(Exec(id, "cat file; mkdir out; mv file out").out, "seeded\n");
  const fs::path there = directory_.path() / "there";
  const Told exported = Pyro({"task", "export", id, "out", there.native()});
  EXPECT_EQ(exported.code, 0) << exported.err;
  EXPECT_EQ(*sys::ReadFile(there / "file", 100), "seeded\n");
  const Told json =
      Pyro({"task", "export", "--json", id, "out/file", (directory_.path() / "f").native()});
  EXPECT_EQ(json.json()["bytes"], 7) << json.out << json.err;
  EXPECT_EQ(Pyro({"task", "export", id, "out", there.native()}).code, kExitFailed);
}

TEST_F(CliTaskTest, LogsShowEveryCommandWithItsOutput) {
  const std::string id = CreateTask();
  Exec(id, "echo first; echo oops >&2; exit 3");
  Exec(id, "echo second");
  const Told logs = Pyro({"task", "logs", id});
  EXPECT_EQ(logs.code, 0);
  for (const char* text : {"first", "oops", "second", "exit_code=3"}) {
    EXPECT_NE(logs.out.find(text), std::string::npos) << text << "\n" << logs.out;
  }
  const Told last = Pyro({"task", "logs", id, "--tail", "1"});
  EXPECT_EQ(last.out.find("first"), std::string::npos);
  EXPECT_NE(last.out.find("second"), std::string::npos);
  EXPECT_NE(Pyro({"task", "logs", id, "--all"}).out.find("first"), std::string::npos);
  EXPECT_EQ(Pyro({"task", "logs", "--json", id}).json()["entries"].size(), 2u);
}

TEST_F(CliTaskTest, OneCommandsOutputIsReadWholeOrByPages) {
  const std::string id = CreateTask();
  Exec(id, "echo 0123456789; echo oops >&2");
  const Told whole = Pyro({"task", "logs", id, "--sequence", "1"});
  EXPECT_EQ(whole.out, "0123456789\n");
  EXPECT_NE(whole.err.find("oops\n"), std::string::npos);
  EXPECT_EQ(Pyro({"task", "logs", id, "--sequence", "1", "--offset", "2", "--limit", "3"}).out,
            "234");
  EXPECT_EQ(Pyro({"task", "logs", id, "--sequence", "1", "--stream", "stderr"}).out, "oops\n");
  const Told json =
      Pyro({"task", "logs", "--json", id, "--sequence", "1", "--offset", "8", "--limit", "100"});
  EXPECT_EQ(json.json()["text"], "89\n") << json.out;
  EXPECT_NE(Pyro({"task", "logs", id, "--sequence", "9"}).code, 0);
  EXPECT_NE(Pyro({"task", "logs", id, "--offset", "1"}).code, 0);  // Of which command?
}

TEST_F(CliTaskTest, ACommandInTheBackgroundIsFollowedAndCancelled) {
  const std::string id = CreateTask();
  const Told started = Pyro({"task", "exec", "-q", "--background", id, "--", "sh", "-c",
                             "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two"});
  EXPECT_EQ(started.code, 0) << started.err;
  EXPECT_EQ(started.out, "1\n");
  const Running following = Start({"task", "logs", id, "--sequence", "1", "--follow"});
  AwaitOutput(following, "one\n");
  Exec(id, "touch go");
  EXPECT_EQ(Join(following).out, "one\ntwo\n");

  const Told json = Pyro({"task", "exec", "--json", "--background", id, "--", "sleep", "600"});
  EXPECT_EQ(json.json()["sequence"], 3) << json.out;
  EXPECT_NE(Pyro({"task", "status", id}).out.find("running"), std::string::npos);
  const Told cancelled = Pyro({"task", "stop", id, "--sequence", "3"});
  EXPECT_EQ(cancelled.code, 0) << cancelled.err;
  EXPECT_NE(cancelled.out.find("cancelled"), std::string::npos) << cancelled.out;
}

TEST_F(CliTaskTest, JsonOfACommandHoldsItsOutput) {
  const std::string id = CreateTask();
  const Told told = Pyro({"task", "exec", "--json", id, "--", "sh", "-c", "echo out; exit 6"});
  EXPECT_EQ(told.code, 6);
  EXPECT_EQ(told.json()["stdout"], "out\n") << told.out;
  EXPECT_EQ(told.json()["sequence"], 1);
}

TEST_F(CliTaskTest, InterruptedTheCommandIsKilledAndRecorded) {
  const std::string id = CreateTask();
  const Running running = Start({"task", "exec", id, "--", "sh", "-c", "echo begun; sleep 600"});
  AwaitOutput(running, "begun\n");
  ::kill(running.pid, SIGTERM);
  EXPECT_EQ(Join(running).code, 128 + SIGTERM);
  EXPECT_EQ(engine_->GetTaskCommand(id, 1)->outcome, Outcome::kCancelled);
}

TEST_F(CliTaskTest, TheListTellsMachinesWhereTheyDifferWithin80Columns) {
  EXPECT_EQ(Pyro({"task", "exec", CreateTask(), "--", "echo", std::string(100, 'x')}).code, 0);
  EXPECT_EQ(Pyro({"task", "list"}).out.find("MACHINE"), std::string::npos);
  const fs::path kvm = directory_.path() / "kvm";
  std::ofstream(kvm).flush();
  fs::permissions(kvm, fs::perms(0666));
  const Told made = Pyro({"task", "create", "-q", "--machine", "kvm", "debian:12"});
  EXPECT_EQ(made.code, 0) << made.err;
  const std::string wide = Pyro({"task", "list"}).out;
  for (const char* part : {"STATE    MACHINE   NET  CMDS       DISK", "started  tcg       no",
                           "started  kvm       no"}) {
    EXPECT_NE(wide.find(part), std::string::npos) << part << " in " << wide;
  }
  const Told narrow = PyroOnTerminal({"task", "list"});
  for (const char* part :
       {"STATE    MACHINE   NET  CMDS    USED  LAST", "started  kvm       no", "echo xxxx…\r\n"}) {
    EXPECT_NE(narrow.out.find(part), std::string::npos) << part << " in " << narrow.out;
  }
  EXPECT_EQ(narrow.Widest(), 80u) << narrow.out;
}

TEST_F(CliTaskTest, WithoutTasksTheListSaysHowToMakeOne) {
  const Told told = Pyro({"task", "list"});
  EXPECT_EQ(told.code, 0);
  EXPECT_EQ(told.out, "");
  EXPECT_NE(told.err.find("pyro task create"), std::string::npos) << told.err;
}

}  // namespace
}  // namespace pyro::cli
