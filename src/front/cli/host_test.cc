// pyro env, warm, doctor, demo and mcp.

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "front/cli/commands.h"
#include "front/cli/testing/cli_fixture.h"
#include "sys/files.h"

namespace pyro::cli {
namespace {

namespace fs = std::filesystem;

class CliHostTest : public CliFixture {};

TEST_F(CliHostTest, AnOutdatedEnvironmentIsToldAndPulledAgain) {
  ASSERT_EQ(Pyro({"env", "pull", "-q", "debian:12"}).code, 0);
  EXPECT_EQ(Pyro({"env", "list"}).err, "");
  const fs::path manifest = cache_ / "environments/debian-12/current/manifest.json";
  std::string text = sys::ReadFile(manifest, 1 << 20).value();
  const auto git = text.find("\"git\"");
  ASSERT_NE(git, std::string::npos);
  text.replace(git, 5, "\"got\"");
  ASSERT_TRUE(sys::WriteFileAtomically(manifest, text));
  const Told list = Pyro({"env", "list"});
  EXPECT_NE(list.out.find("debian:12 [outdated] "), std::string::npos) << list.out;
  EXPECT_NE(list.err.find("pyro env pull debian:12\n"), std::string::npos) << list.err;
  EXPECT_EQ(Pyro({"env", "list", "-q"}).err, "");
  EXPECT_EQ(Pyro({"env", "list", "--json"}).json()["environments"][1]["outdated"], true);
  EXPECT_EQ(Pyro({"run", "debian:12", "--", "true"}).code, 0);
  EXPECT_NE(Pyro({"env", "list"}).out.find("[outdated]"), std::string::npos) << "no run builds";
  EXPECT_EQ(Pyro({"env", "pull", "--json", "debian:12"}).json()["built"], true);
  EXPECT_NE(Pyro({"env", "list"}).out.find("debian:12 [installed]"), std::string::npos);
}

TEST_F(CliHostTest, EnvironmentsArePulledListedInspectedAndPruned) {
  EXPECT_NE(Pyro({"env", "list"}).out.find("debian:12 [not installed]"), std::string::npos);
  const Told pulled = Pyro({"env", "pull", "debian:12"});
  EXPECT_EQ(pulled.code, 0) << pulled.err;
  EXPECT_NE(pulled.err.find("[pull] phase=install environment=debian:12"), std::string::npos)
      << pulled.err;
  EXPECT_NE(pulled.out.find("debian:12 "), std::string::npos);
  EXPECT_EQ(Pyro({"env", "pull", "-q", "debian:12"}).out, "");
  EXPECT_EQ(Pyro({"env", "pull", "--json", "debian:12"}).json()["built"], false);
  EXPECT_NE(Pyro({"env", "list"}).out.find("debian:12 [installed]"), std::string::npos);
  EXPECT_NE(Pyro({"env", "list", "-q"}).out.find("debian:12\n"), std::string::npos);
  EXPECT_NE(Pyro({"env", "list", "--json"}).out.find("\"debian:12\""), std::string::npos);
  const Told details = Pyro({"env", "inspect", "--verify", "debian:12"});
  EXPECT_EQ(details.code, 0) << details.err;
  EXPECT_NE(details.out.find("base.erofs"), std::string::npos) << details.out;
  EXPECT_FALSE(Pyro({"env", "inspect", "--json", "debian:12"}).json().empty());
  const Told pruned = Pyro({"env", "prune", "--all"});
  EXPECT_EQ(pruned.code, 0);
  EXPECT_NE(pruned.out.find("removed debian:12"), std::string::npos) << pruned.out;
  EXPECT_NE(pruned.out.find("freed"), std::string::npos);
  EXPECT_FALSE(Pyro({"env", "prune", "--json"}).json().is_null());
}

TEST_F(CliHostTest, SeveralEnvironmentsArePulledAlthoughOneCannotBe) {
  const Told told = Pyro({"env", "pull", "debian:12", "no-such", "debian:12-base"});
  EXPECT_EQ(told.code, kExitFailed);
  EXPECT_NE(told.out.find("debian:12 installed"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("debian:12-base installed"), std::string::npos) << told.out;
  EXPECT_NE(told.err.find("[pull] phase=install environment=debian:12-base"), std::string::npos);
  EXPECT_NE(told.err.find("no-such"), std::string::npos) << told.err;
  const Told json = Pyro({"env", "pull", "--json", "debian:12", "no-such"});
  EXPECT_EQ(json.code, kExitFailed);
  EXPECT_EQ(json.json()["count"], 2);
  EXPECT_EQ(json.json()["environments"][0]["built"], false);
  EXPECT_EQ(json.json()["environments"][1]["environment"], "no-such");
  EXPECT_EQ(json.json()["environments"][1]["error"]["code"], "not_found") << json.out;
}

TEST_F(CliHostTest, FailuresOfEnvironmentsAreTold) {
  EXPECT_EQ(Pyro({"env", "pull", "no-such"}).code, kExitFailed);
  EXPECT_EQ(Pyro({"env", "inspect", "debian:12"}).code, kExitFailed);
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror", "try later");
  const Told told = Pyro({"env", "pull", "--json", "debian:12"});
  EXPECT_EQ(told.code, kExitFailed);
  EXPECT_EQ(told.json()["error"]["message"], "no mirror") << told.out;
}

TEST_F(CliHostTest, SparesAreKeptShownAndEnded) {
  StartWarm();
  const Told none = Pyro({"warm"});
  EXPECT_EQ(none.code, 0);
  EXPECT_NE(none.err.find("pyro warm debian:12"), std::string::npos) << none.err;
  const Told kept = Pyro({"warm", "debian:12", "--count", "1"});
  EXPECT_EQ(kept.code, 0) << kept.err;
  EXPECT_NE(kept.out.find("debian:12"), std::string::npos) << kept.out;
  EXPECT_EQ(Pyro({"warm", "--json"}).json().dump().find("\"waiting\":1") == std::string::npos,
            false);
  EXPECT_NE(Pyro({"warm"}).out.find("debian:12"), std::string::npos);
  const Told run = Pyro({"run", "--timings", "debian:12", "--", "true"});
  EXPECT_NE(run.err.find("spare"), std::string::npos) << run.err;
  EXPECT_EQ(Pyro({"warm", "debian:12", "--count", "0", "--json"}).json()["count"], 0);
  EXPECT_EQ(Pyro({"warm", "debian:12", "--count", "65"}).code, kExitUsage);
}

TEST_F(CliHostTest, SparesThatAServerKeepsForItselfAreShownAsSuch) {
  StartWarm();
  ASSERT_TRUE(engine_->KeepOwnSpares(Vm(), 1).ok());
  const std::string own = Pyro({"warm"}).out;
  EXPECT_NE(own.find("1 of 1 spares are ready"), std::string::npos) << own;
  EXPECT_NE(own.find("for one 'pyro mcp serve' alone"), std::string::npos) << own;
  ASSERT_TRUE(engine_->KeepOwnSpares(Vm(), 0).ok());
  const std::string all = Pyro({"warm", "debian:12", "--count", "1"}).out;
  EXPECT_EQ(all.find("alone"), std::string::npos) << all;
  EXPECT_EQ(Pyro({"warm", "debian:12", "--count", "0"}).out.find("alone"), std::string::npos);
}

TEST_F(CliHostTest, TheDoctorShowsWhatWorksAndWhatDoesNot) {
  const Told told = Pyro({"doctor"});
  for (const char* text : {"Platform: linux-", "Runtime: ", "KVM: ", "Accelerator: tcg"}) {
    EXPECT_NE(told.out.find(text), std::string::npos) << told.out;
  }
  world_.monitor = MakeError(ErrorCode::kMissingTool, "no monitor", "install one");
  const Told broken = Pyro({"doctor"});
  EXPECT_EQ(broken.code, kExitFailed);
  EXPECT_NE(broken.out.find("- fake: no monitor; fix: install one"), std::string::npos)
      << broken.out;
  EXPECT_EQ(Pyro({"doctor", "--json"}).json()["runtime_ok"], false);
  const Told quiet = Pyro({"doctor", "-q"});
  EXPECT_EQ(quiet.code, kExitFailed);
  EXPECT_EQ(quiet.out, "");
}

TEST_F(CliHostTest, TheDemoTellsTheLifeOfAVm) {
  const Told told = Pyro({"demo"});
  for (const char* text : {"environment", "create", "start", "exec", "gone"}) {
    EXPECT_NE(told.out.find(text), std::string::npos) << told.out << told.err;
  }
  const Told json = Pyro({"demo", "--json"});
  EXPECT_EQ(json.json()["steps"].size(), 5u) << json.out;
  EXPECT_TRUE(engine_->ListVms()->empty());
  ReplaceKernel("panic!");
  const Told failed = Pyro({"demo"});
  EXPECT_EQ(failed.code, kExitFailed);
  EXPECT_NE(failed.err.find("Kernel panic"), std::string::npos) << failed.err;
}

// --- mcp

TEST_F(CliHostTest, TheMcpServerAnswersOnStdoutAndEndsWithItsClient) {
  const std::string initialize =
      R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",)"
      R"("capabilities":{},"clientInfo":{"name":"t","version":"1"}}})";
  const Told told = Pyro({"mcp", "serve", "--profile", "task"}, initialize + "\n");
  EXPECT_EQ(told.code, 0) << told.err;
  EXPECT_EQ(told.json()["id"], 1) << told.out;
  EXPECT_TRUE(told.json()["result"].contains("capabilities"));
}

TEST_F(CliHostTest, McpOptionsThatDoNotFitTogetherAreRefused) {
  EXPECT_NE(Pyro({"mcp", "serve", "--profile", "none"}).code, 0);
  EXPECT_NE(Pyro({"mcp", "serve", "--token-file", "/dev/null"}).code, 0);
  for (const char* address : {"nonsense", "1.2.3.4:99999", ":80", "::1:80"}) {
    const Told told = Pyro({"mcp", "serve", "--http", address});
    EXPECT_NE(told.code, 0) << address;
    EXPECT_NE(told.err.find("no address to listen on"), std::string::npos) << told.err;
  }
  const fs::path token = directory_.path() / "token";
  std::ofstream(token) << "short";
  fs::permissions(token, fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_NE(Pyro({"mcp", "serve", "--http", "0", "--token-file", token.native()})
                .err.find("no usable token"),
            std::string::npos);
  fs::permissions(token, fs::perms::all);
  EXPECT_NE(Pyro({"mcp", "serve", "--http", "0", "--token-file", token.native()})
                .err.find("others may read"),
            std::string::npos);
  EXPECT_NE(
      Pyro({"mcp", "serve", "--http", "0", "--token-file", "/no/such"}).err.find("cannot be read"),
      std::string::npos);
}

TEST_F(CliHostTest, TheMcpServerListensWhereItIsToldUntilItIsInterrupted) {
  const fs::path token = directory_.path() / "token";
  std::ofstream(token) << "0123456789abcdef0123456789abcdef\n";
  fs::permissions(token, fs::perms::owner_read | fs::perms::owner_write);
  const Running running =
      Start({"mcp", "serve", "--http", "[::1]:0", "--token-file", token.native()});
  AwaitTalk(running, "listens at http://[::1]:");
  ::kill(running.pid, SIGTERM);
  const Told told = Join(running);
  EXPECT_EQ(told.code, 0) << told.err;
}

TEST_F(CliHostTest, ConfigurationsOfClientsNameThisProgramAndItsDirectories) {
  const Told told = Pyro({"mcp", "config", "claude-code", "--profile", "vm-run"});
  EXPECT_EQ(told.code, 0) << told.err;
  EXPECT_NE(told.out.find("\"mcp\""), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("vm-run"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find(state_.native()), std::string::npos);
  EXPECT_NE(Pyro({"mcp", "config", "no-such-client"}).code, 0);
}

}  // namespace
}  // namespace pyro::cli
