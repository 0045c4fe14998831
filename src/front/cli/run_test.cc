// pyro run, and what holds for every command: usage, help, descriptions, signals.

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "front/cli/commands.h"
#include "front/cli/testing/cli_fixture.h"

namespace pyro::cli {
namespace {

class CliRunTest : public CliFixture {};

TEST_F(CliRunTest, OutputGoesToItsStreamsAndTheExitCodeIsTheCommands) {
  const Told told = Pyro({"run", "debian:12", "--", "sh", "-c", "echo out; echo err >&2; exit 9"});
  EXPECT_EQ(told.code, 9);
  EXPECT_EQ(told.out, "out\n");
  EXPECT_NE(told.err.find("err\n"), std::string::npos);
  EXPECT_NE(told.err.find("[run] exit_code=9"), std::string::npos) << told.err;
  EXPECT_NE(told.err.find("environment=debian:12"), std::string::npos);
}

TEST_F(CliRunTest, QuietLeavesTheCommandsOutputAlone) {
  const Told told = Pyro({"run", "-q", "debian:12", "--", "sh", "-c", "echo out; echo err >&2"});
  EXPECT_EQ(told.code, 0);
  EXPECT_EQ(told.out, "out\n");
  EXPECT_EQ(told.err, "err\n");
}

TEST_F(CliRunTest, WhatUserModeWouldGainIsSaidToAPersonOnceAndNeverToAScript) {
  world_.usermode = OkStatus();
  ::unsetenv("PYRO_ACCELERATOR");
  const auto err = [this](const char* flag) {
    return Pyro({"run", flag, "debian:12", "--", "true"}).err;
  };
  const std::string_view advice = "pyro config set machine.without_kvm usermode";
  EXPECT_EQ(err("--json").find(advice), std::string::npos);
  EXPECT_EQ(err("-q").find(advice), std::string::npos);
  EXPECT_NE(err("--timings").find(advice), std::string::npos);
  EXPECT_EQ(err("--timings").find(advice), std::string::npos);
}

TEST_F(CliRunTest, StdinReachesTheCommand) {
  EXPECT_EQ(Pyro({"run", "debian:12", "--", "cat"}, "given\n").out, "given\n");
}

TEST_F(CliRunTest, JsonIsOneDocumentWithTheOutputInIt) {
  const Told told = Pyro({"run", "--json", "debian:12", "--", "sh", "-c", "echo out; exit 2"});
  EXPECT_EQ(told.code, 2);
  EXPECT_EQ(told.json()["stdout"], "out\n") << told.out;
  EXPECT_EQ(told.json()["exit_code"], 2);
}

TEST_F(CliRunTest, TimingsAreShownWhereTheyWereAskedFor) {
  const Told told = Pyro({"run", "--timings", "debian:12", "--", "true"});
  EXPECT_NE(told.err.find("[timings] start=boot"), std::string::npos) << told.err;
  EXPECT_TRUE(
      Pyro({"run", "--timings", "--json", "debian:12", "--", "true"}).json().contains("timings"));
}

TEST_F(CliRunTest, WhatAnExitCodeDoesNotExplainIsToldInWords) {
  const Told late = Pyro({"run", "--timeout-seconds", "1", "debian:12", "--", "sleep", "600"});
  EXPECT_EQ(late.code, 124);
  EXPECT_NE(late.err.find("pyro: "), std::string::npos) << late.err;
  const Told missing = Pyro({"run", "debian:12", "--", "no-such-program"});
  EXPECT_EQ(missing.code, 127);
  EXPECT_NE(missing.err.find("pyro: "), std::string::npos) << missing.err;
  const Told killed = Pyro({"run", "debian:12", "--", "sh", "-c", "kill -9 $$"});
  EXPECT_EQ(killed.code, 137);
}

TEST_F(CliRunTest, FailuresOfPyroItselfAreNumber125WithASentenceAndAHint) {
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror", "try later");
  const Told told = Pyro({"run", "debian:12", "--", "true"});
  EXPECT_EQ(told.code, 125);
  EXPECT_EQ(told.out, "");
  EXPECT_NE(told.err.find("pyro: no mirror\nhint: try later\n"), std::string::npos) << told.err;
  const Told json = Pyro({"run", "--json", "debian:12", "--", "true"});
  EXPECT_EQ(json.code, 125);
  EXPECT_EQ(json.json()["error"]["code"], "unavailable") << json.out;
}

TEST_F(CliRunTest, WithoutAGuestItRunsOnTheHostAndSaysSo) {
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror");
  const Told told = Pyro({"run", "--allow-host-compat", "debian:12", "--", "pwd"});
  EXPECT_EQ(told.code, 0);
  EXPECT_EQ(told.out, "/workspace\n");
  EXPECT_NE(told.err.find("no mirror"), std::string::npos);
  EXPECT_NE(told.err.find("execution_mode=host_compat"), std::string::npos);
}

TEST_F(CliRunTest, InterruptedItExitsAsASignalWouldAndLeavesNothing) {
  const Running running = Start({"run", "debian:12", "--", "sh", "-c", "echo begun; sleep 600"});
  AwaitOutput(running, "begun\n");
  ::kill(running.pid, SIGINT);
  EXPECT_EQ(Join(running).code, 128 + SIGINT);
  EXPECT_TRUE(engine_->ListVms()->empty());
}

TEST_F(CliRunTest, OnATerminalAProgressLineComesAndGoes) {
  const Told told = PyroOnTerminal({"run", "debian:12", "--", "echo", "shown"});
  EXPECT_EQ(told.code, 0);
  EXPECT_NE(told.out.find("\x1b[2K"), std::string::npos);
  EXPECT_NE(told.out.find("shown\r\n"), std::string::npos);
}

// --- Usage

TEST_F(CliRunTest, WhatCannotBeParsedIsAUsageErrorWithAHint) {
  for (const Words& words : std::vector<Words>{{"task", "frobnicate"},
                                               {"frobnicate"},
                                               {"task", "status"},
                                               {"env", "list", "--no-such-option"},
                                               {"env", "list", "--", "true"},
                                               {"warm", "debian:12", "--count", "many"}}) {
    const Told told = Pyro(words);
    SCOPED_TRACE(words.back());
    EXPECT_EQ(told.code, kExitUsage);
    EXPECT_TRUE(told.err.starts_with("pyro: ")) << told.err;
    EXPECT_NE(told.err.find("\nhint: "), std::string::npos) << told.err;
    EXPECT_EQ(told.out, "");
  }
  for (const Words& words : std::vector<Words>{{"run", "debian:12"},
                                               {"run", "debian:12", "--"},
                                               {"run", "--no-such-option", "--", "true"},
                                               {"task", "exec", "task_123456", "--"}}) {
    EXPECT_EQ(Pyro(words).code, kExitPyroFailed) << words.back();
  }
}

TEST_F(CliRunTest, VersionAndHelpGoToStdout) {
  const Told version = Pyro({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_TRUE(version.out.starts_with("pyro ")) << version.out;
  const Told help = Pyro({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_NE(help.out.find("doctor"), std::string::npos);
}

void Collect(const Json& command, std::vector<std::string> before,
             std::vector<std::vector<std::string>>& all) {
  for (const Json& below : command.at("commands")) {
    std::vector<std::string> words = before;
    words.push_back(below.at("name").get<std::string>());
    all.push_back(words);
    Collect(below, words, all);
  }
}

TEST_F(CliRunTest, EveryCommandDescribesItselfAndHasHelp) {
  const Json description = Pyro({"__describe"}).json();
  std::vector<Words> all;
  Collect(description, {}, all);
  EXPECT_GT(all.size(), 15u);
  for (Words words : all) {
    const std::string name = words.back();
    words.emplace_back("--help");
    const Told told = Pyro(words);
    EXPECT_EQ(told.code, 0) << name;
    EXPECT_NE(told.out.find(name), std::string::npos);
    EXPECT_EQ(told.err, "") << name;
  }
}

TEST_F(CliRunTest, CompletionsOfferCommandsOptionsEnvironmentsAndTasks) {
  const auto offers = [&](const Words& words, const std::string& what) {
    Words all = {"__complete"};
    all.insert(all.end(), words.begin(), words.end());
    const Told told = Pyro(all);
    EXPECT_EQ(told.code, 0);
    return told.out.find(what) != std::string::npos;
  };
  EXPECT_TRUE(offers({"ta"}, "task\t"));
  EXPECT_TRUE(offers({"task", "cr"}, "create\t"));
  EXPECT_TRUE(offers({"run", "--time"}, "--timeout-seconds\t"));
  EXPECT_TRUE(offers({"run", "deb"}, "debian:12\t"));
  EXPECT_FALSE(offers({"task", "status", "task_"}, "task_"));
  const std::string id = CreateTask();
  EXPECT_TRUE(offers({"task", "status", "task_"}, id + "\t"));
  EXPECT_TRUE(offers({"task", "create", "debian:12", "--source-path", ""}, ":files"));
  EXPECT_TRUE(offers({"run", "debian:12", "--", "l"}, ":files"));
}

}  // namespace
}  // namespace pyro::cli
