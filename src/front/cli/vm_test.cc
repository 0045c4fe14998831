// pyro vm, verb by verb.

#include <csignal>
#include <string>

#include <gtest/gtest.h>

#include "front/cli/commands.h"
#include "front/cli/testing/cli_fixture.h"

namespace pyro::cli {
namespace {

class CliVmTest : public CliFixture {
 protected:
  std::string Create(const Words& more = {}) {
    Words words = {"vm", "create", "-q", "debian:12"};
    words.insert(words.end(), more.begin(), more.end());
    const Told told = Pyro(words);
    EXPECT_EQ(told.code, 0) << told.err;
    return told.out.substr(0, told.out.find('\n'));
  }
};

TEST_F(CliVmTest, CreatePrintsTheIdThatTheOtherVerbsTake) {
  const std::string id = Create();
  EXPECT_TRUE(id.starts_with("vm_")) << id;
  EXPECT_EQ(Pyro({"vm", "status", "--json", id}).json()["state"], "created");
  EXPECT_EQ(Pyro({"vm", "exec", id, "--", "true"}).code, kExitPyroFailed) << "it is not started";

  const Told started = Pyro({"vm", "start", id.substr(0, 9)});
  EXPECT_EQ(started.code, 0) << started.err;
  EXPECT_NE(started.out.find("VM: " + id), std::string::npos) << started.out;
  EXPECT_NE(started.out.find("State: started"), std::string::npos) << started.out;
  EXPECT_EQ(Pyro({"vm", "start", "-q", id}).out, "");

  const Told told = Pyro(
      {"vm", "exec", id.substr(3), "--", "sh", "-c", "cat; echo err >&2; exit 4"}, "from stdin");
  EXPECT_EQ(told.code, 4);
  EXPECT_EQ(told.out, "from stdin");
  EXPECT_NE(told.err.find("err\n[vm-exec] exit_code=4 duration_ms="), std::string::npos)
      << told.err;
  const Told gone = Pyro({"vm", "status", id});
  EXPECT_EQ(gone.code, kExitFailed);
  EXPECT_TRUE(gone.err.starts_with("pyro: ")) << gone.err;
}

TEST_F(CliVmTest, OptionsOfTheVmAreKept) {
  const Told json = Pyro({"vm", "create", "--json", "--vcpu-count", "2", "--mem-mib", "512",
                          "--ttl-seconds", "5m", "debian:12"});
  EXPECT_EQ(json.json()["vcpu_count"], 2) << json.out << json.err;
  EXPECT_EQ(json.json()["mem_mib"], 512);
  EXPECT_EQ(json.json()["ttl_seconds"], 300);
  const Told people = Pyro({"vm", "create", "debian:12"});
  EXPECT_NE(people.out.find("Resources: 1 vCPU / 1024 MiB"), std::string::npos) << people.out;
  EXPECT_EQ(Pyro({"vm", "create", "--mem-mib", "1", "debian:12"}).code, kExitUsage);
}

TEST_F(CliVmTest, JsonOfACommandHoldsItsOutput) {
  const std::string id = Create();
  EXPECT_EQ(Pyro({"vm", "start", "--json", id}).json()["state"], "started");
  const Told told = Pyro({"vm", "exec", "--json", id, "--", "sh", "-c", "echo out; exit 6"});
  EXPECT_EQ(told.code, 6);
  EXPECT_EQ(told.json()["stdout"], "out\n") << told.out;
}

TEST_F(CliVmTest, AStoppedVmStartsAgainAndDeleteEndsIt) {
  const std::string id = Create();
  EXPECT_EQ(Pyro({"vm", "start", "-q", id}).code, 0);
  const Told stopped = Pyro({"vm", "stop", id});
  EXPECT_NE(stopped.out.find("State: stopped"), std::string::npos) << stopped.out << stopped.err;
  EXPECT_EQ(Pyro({"vm", "stop", "-q", id}).out, "");
  EXPECT_EQ(Pyro({"vm", "start", "-q", id}).code, 0);
  EXPECT_EQ(Pyro({"vm", "delete", id}).out, "Deleted VM: " + id + "\n");
  EXPECT_EQ(Pyro({"vm", "delete", id}).code, kExitFailed);
}

TEST_F(CliVmTest, TheListShowsAllVmsAndDeleteTakesSeveral) {
  const Told none = Pyro({"vm", "list"});
  EXPECT_EQ(none.out, "");
  EXPECT_NE(none.err.find("pyro vm create"), std::string::npos) << none.err;
  const std::string one = Create();
  const std::string two = Create({"--network"});
  const Told list = Pyro({"vm", "list"});
  EXPECT_NE(list.out.find("ENVIRONMENT"), std::string::npos) << list.out;
  EXPECT_NE(list.out.find("created  yes"), std::string::npos) << list.out;
  EXPECT_EQ(Pyro({"vm", "ls", "--json"}).json()["count"], 2);
  EXPECT_NE(Pyro({"vm", "ps", "-q"}).out.find(one + "\n"), std::string::npos);
  EXPECT_TRUE(Pyro({"__complete", "vm", "status", two.substr(0, 10)}).out.starts_with(two));
  const Told some = Pyro({"vm", "rm", "--json", one, "vm_aaaaaaaa"});
  EXPECT_EQ(some.code, kExitFailed);
  EXPECT_EQ(some.json()["vms"][0]["vm_id"], one) << some.out;
  EXPECT_EQ(some.json()["vms"][1]["deleted"], false);
  EXPECT_EQ(Pyro({"vm", "delete", "--all"}).out, "Deleted VM: " + two + "\n");
  EXPECT_NE(Pyro({"vm", "delete", "--all"}).err.find("there are no VMs"), std::string::npos);
  EXPECT_EQ(Pyro({"vm", "delete"}).code, kExitUsage);
}

TEST_F(CliVmTest, TheListTellsMachinesWhereTheyDiffer) {
  (void)Create();
  (void)Create({"--machine", "tcg"});
  // One whose machine is not chosen yet is no difference.
  EXPECT_EQ(Pyro({"vm", "list"}).out.find("MACHINE"), std::string::npos);
  (void)Create({"--machine", "kvm"});
  for (const std::string& list : {Pyro({"vm", "list"}).out, PyroOnTerminal({"vm", "list"}).out}) {
    for (const char* part : {"STATE    MACHINE   NET", "created  -         no",
                             "created  tcg       no", "created  kvm       no"}) {
      EXPECT_NE(list.find(part), std::string::npos) << part << " in " << list;
    }
  }
  EXPECT_LE(PyroOnTerminal({"vm", "list"}).Widest(), 80u);
}

TEST_F(CliVmTest, TheListCountsTheLeaseByTheClockThatItWasGiven) {
  (void)Create({"--ttl-seconds", "10h"});
  EXPECT_NE(Pyro({"vm", "list"}).out.find("  9 h\n"), std::string::npos);
  world_.clock.Advance(std::chrono::hours(4));
  const Told later = Pyro({"vm", "list"});
  EXPECT_NE(later.out.find("  5 h\n"), std::string::npos) << later.out;
}

TEST_F(CliVmTest, NetworkInfoSaysIfThereIsANetwork) {
  const std::string id = Create();
  EXPECT_NE(Pyro({"vm", "network-info", id}).out.find("Network: no"), std::string::npos);
  EXPECT_EQ(Pyro({"vm", "network-info", "--json", id}).json()["network_enabled"], false);
  EXPECT_EQ(Pyro({"vm", "network-info", "vm_aaaaaaaa"}).code, kExitFailed);
}

TEST_F(CliVmTest, ReapNamesTheVmsThatItRemoves) {
  const std::string id = Create();
  EXPECT_EQ(Pyro({"vm", "reap", "-q"}).out, "");
  world_.clock.Advance(std::chrono::hours(1));
  const Told told = Pyro({"vm", "reap", "--json"});
  EXPECT_EQ(told.json()["vm_ids"], Json({id})) << told.out << told.err;
  EXPECT_EQ(Pyro({"vm", "reap"}).out, "0 other leftovers removed\n");
}

TEST_F(CliVmTest, InterruptedTheVmIsDeleted) {
  const std::string id = Create();
  EXPECT_EQ(Pyro({"vm", "start", "-q", id}).code, 0);
  const Running running = Start({"vm", "exec", id, "--", "sh", "-c", "echo begun; sleep 600"});
  AwaitOutput(running, "begun\n");
  ::kill(running.pid, SIGTERM);
  EXPECT_EQ(Join(running).code, 128 + SIGTERM);
  EXPECT_TRUE(engine_->ListVms()->empty());
}

TEST_F(CliVmTest, AMissingDashDashIsShownWhereItBelongs) {
  const Told told = Pyro({"vm", "exec", "ls", "-la"});
  EXPECT_EQ(told.code, kExitPyroFailed);
  EXPECT_NE(told.err.find("'ls' is not an id of a VM"), std::string::npos) << told.err;
  EXPECT_NE(told.err.find("write: pyro vm exec VM_ID -- ls -la"), std::string::npos) << told.err;
}

}  // namespace
}  // namespace pyro::cli
