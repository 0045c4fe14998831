// The VMs that live until their lease ends, through the engine, with real guests.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/try.h"
#include "engine_fixture.h"
#include "sys/child_process.h"
#include "sys/files.h"
#include "sys/host.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

TEST_F(EngineVmTest, CreatedVmHasNoGuestYet) {
  const VmInfo vm = Create(Options());
  EXPECT_EQ(vm.state, GuestState::kCreated);
  EXPECT_EQ(vm.execution_mode, ExecutionMode::kPending);
  EXPECT_EQ(vm.accelerator, "");
  EXPECT_EQ(vm.environment, kBase);
  EXPECT_EQ(vm.mem_mib, 256);
  EXPECT_EQ(vm.vcpu_count, 1);
  EXPECT_EQ(vm.ttl_seconds, 600);
  EXPECT_FALSE(vm.network_enabled);
  EXPECT_TRUE(vm.vm_id.starts_with("vm_")) << vm.vm_id;
  EXPECT_EQ(vm.vm_id.size(), 3u + 26u);
  EXPECT_LT(vm.created_at, vm.expires_at);
  EXPECT_TRUE(LiveDescendants().empty());
  // Nothing can be done with it but start and delete.
  EXPECT_EQ(CodeOf(engine_.ExecVm(vm.vm_id, Script("true"), 30)), ErrorCode::kWrongState);
  EXPECT_EQ(CodeOf(engine_.StopVm(vm.vm_id)), ErrorCode::kWrongState);
  EXPECT_EQ(engine_.StatusVm(vm.vm_id)->state, GuestState::kCreated);
}

TEST_F(EngineVmTest, StartedVmRunsOneCommandAndIsThenGone) {
  const VmInfo vm = CreateStarted(Options());
  EXPECT_EQ(vm.state, GuestState::kStarted);
  EXPECT_EQ(vm.execution_mode, ExecutionMode::kGuestVirtioSerial);
  const std::string wanted = sys::Environment("PYRO_ACCELERATOR");
  EXPECT_TRUE(wanted.empty() ? vm.accelerator == "tcg" || vm.accelerator == "kvm"
                             : vm.accelerator == wanted)
      << vm.accelerator;
  EXPECT_FALSE(LiveDescendants().empty());
  // Starting a started one is fine, and starts nothing.
  const auto before = LiveDescendants();
  EXPECT_EQ(engine_.StartVm(vm.vm_id)->state, GuestState::kStarted);
  EXPECT_EQ(LiveDescendants(), before);

  const auto result = engine_.ExecVm(vm.vm_id, Script("echo out | cat; echo err >&2; exit 7"), 30);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->exit_code, 7);
  EXPECT_EQ(result->outcome, Outcome::kExited);
  EXPECT_EQ(result->stdout_text, "out\n");
  EXPECT_EQ(result->stderr_text, "err\n");
  EXPECT_EQ(result->execution_mode, ExecutionMode::kGuestVirtioSerial);
  EXPECT_NE(result->kernel, sys::KernelRelease());
  EXPECT_EQ(CodeOf(engine_.StatusVm(vm.vm_id)), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(engine_.DeleteVm(vm.vm_id)), ErrorCode::kNotFound);
  EXPECT_TRUE(engine_.ListVms()->empty());
}

// A VM's only command ends the VM, so a mark gets on the disk from outside, while it is stopped.
Status WriteMark(const fs::path& disk) {
  sys::SpawnOptions options;
  options.argv = {"debugfs", "-w", "-R", "write /etc/debian_version /workspace/mark",
                  disk.native()};
  options.search_path = true;
  PYRO_ASSIGN_OR_RETURN(const sys::CommandOutput output,
                        sys::RunCommand(std::move(options), Deadline::After(kHang)));
  if (output.status.success()) return OkStatus();
  return MakeError(ErrorCode::kInternal, output.stderr_text);
}

TEST_F(EngineVmTest, StoppedVmKeepsItsDisk) {
  const VmInfo vm = CreateStarted(Options());
  const auto stopped = engine_.StopVm(vm.vm_id);
  ASSERT_TRUE(stopped) << stopped.error().message;
  EXPECT_EQ(stopped->state, GuestState::kStopped);
  EXPECT_EQ(stopped->execution_mode, ExecutionMode::kGuestVirtioSerial);
  EXPECT_TRUE(Eventually([] { return LiveDescendants().empty(); }));
  EXPECT_EQ(engine_.StopVm(vm.vm_id)->state, GuestState::kStopped);
  EXPECT_EQ(CodeOf(engine_.ExecVm(vm.vm_id, Script("true"), 30)), ErrorCode::kWrongState);

  const Status marked = WriteMark(state() / "vms" / vm.vm_id / "data.img");
  ASSERT_TRUE(marked) << marked.error().message;
  const auto again = engine_.StartVm(vm.vm_id);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->state, GuestState::kStarted);
  const auto result = engine_.ExecVm(vm.vm_id, Script("cat /workspace/mark"), 30);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->exit_code, 0) << result->stderr_text;
  EXPECT_NE(result->stdout_text, "");
}

TEST_F(EngineVmTest, DeleteWorksInEveryState) {
  const VmInfo created = Create(Options());
  EXPECT_TRUE(engine_.DeleteVm(created.vm_id));
  const VmInfo started = CreateStarted(Options());
  EXPECT_TRUE(engine_.DeleteVm(started.vm_id));
  EXPECT_TRUE(Eventually([] { return LiveDescendants().empty(); }));
  const VmInfo stopped = CreateStarted(Options());
  ASSERT_TRUE(engine_.StopVm(stopped.vm_id));
  EXPECT_TRUE(engine_.DeleteVm(stopped.vm_id));
  EXPECT_EQ(Directories(), 0u);
  for (const auto& vm : {created, started, stopped}) {
    EXPECT_EQ(CodeOf(engine_.StatusVm(vm.vm_id)), ErrorCode::kNotFound);
    EXPECT_EQ(CodeOf(engine_.StartVm(vm.vm_id)), ErrorCode::kNotFound);
    EXPECT_EQ(CodeOf(engine_.StopVm(vm.vm_id)), ErrorCode::kNotFound);
  }
}

TEST_F(EngineVmTest, AnUnambiguousPrefixIsEnough) {
  const VmInfo one = Create(Options());
  const VmInfo two = Create(Options());
  EXPECT_EQ(engine_.StatusVm(one.vm_id.substr(0, 9))->vm_id, one.vm_id);
  EXPECT_EQ(engine_.StatusVm(two.vm_id.substr(0, 15))->vm_id, two.vm_id);
  for (const std::string& bad : {one.vm_id.substr(0, 8), std::string("vm_"), std::string(),
                                 one.vm_id + "a", std::string("../../etc")}) {
    const auto status = engine_.StatusVm(bad);
    ASSERT_FALSE(status) << bad;
    EXPECT_TRUE(status.error().code == ErrorCode::kInvalidArgument ||
                status.error().code == ErrorCode::kNotFound)
        << bad << ": " << status.error().message;
  }
  EXPECT_EQ(engine_.ListVms()->size(), 2u);
}

TEST_F(EngineVmTest, BadOptionsMakeNoVm) {
  for (const auto& change : std::vector<std::function<void(VmOptions&)>>{
           [](VmOptions& options) { options.vcpu_count = 0; },
           [](VmOptions& options) { options.vcpu_count = 65; },
           [](VmOptions& options) { options.mem_mib = 127; },
           [](VmOptions& options) { options.ttl_seconds = 0; }}) {
    VmOptions options = Options();
    change(options);
    EXPECT_EQ(CodeOf(engine_.CreateVm(options)), ErrorCode::kInvalidArgument);
  }
  VmOptions options = Options();
  options.environment = "no-such:1";
  EXPECT_EQ(CodeOf(engine_.CreateVm(options)), ErrorCode::kNotFound);
  EXPECT_TRUE(engine_.ListVms()->empty());
}

TEST_F(EngineVmTest, TheLeaseOfAStartedVmEndsByItself) {
  // Without KVM its start alone takes longer than that.
  const VmInfo vm = CreateStarted(Options(2));
  ASSERT_EQ(vm.state, GuestState::kStarted);
  // No call comes: its supervisor ends it, with its directory.
  EXPECT_TRUE(Eventually([] { return LiveDescendants().empty(); }));
  EXPECT_EQ(Directories(), 0u);
  EXPECT_EQ(CodeOf(engine_.StatusVm(vm.vm_id)), ErrorCode::kNotFound);
  EXPECT_TRUE(engine_.ReapExpired()->vm_ids.empty()) << "something was left to reap";
}

TEST_F(EngineVmTest, ACommandHoldsTheLease) {
  const VmInfo vm = CreateStarted(Options(5));
  const auto result = engine_.ExecVm(vm.vm_id, Script("sleep 8; echo done"), 60);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->stdout_text, "done\n");
}

TEST_F(EngineVmTest, ReapRemovesWhatIsOverAndSaysSo) {
  const VmInfo over = Create(Options(1));
  const VmInfo kept = Create(Options(600));
  std::vector<std::string> reaped;
  EXPECT_TRUE(Eventually([&] {
    const auto now = engine_.ReapExpired();
    if (now) reaped.insert(reaped.end(), now->vm_ids.begin(), now->vm_ids.end());
    return !reaped.empty();
  }));
  EXPECT_EQ(reaped, std::vector<std::string>{over.vm_id});
  EXPECT_TRUE(engine_.StatusVm(kept.vm_id));
}

TEST_F(EngineVmTest, ACrashedSupervisorLeavesAStoppedVmThatCanBeStartedAgain) {
  const VmInfo vm = CreateStarted(Options());
  for (const pid_t pid : LiveDescendants()) {
    const auto name = sys::ReadFile("/proc/" + std::to_string(pid) + "/comm", 64);
    if (name && name->starts_with("pyro-supervisor")) ::kill(pid, SIGKILL);
  }
  EXPECT_TRUE(Eventually([] { return LiveDescendants().empty(); })) << "the guest outlived it";
  const auto lost = engine_.StatusVm(vm.vm_id);
  ASSERT_TRUE(lost) << lost.error().message;
  EXPECT_EQ(lost->state, GuestState::kStopped);
  EXPECT_NE(lost->last_error, "");
  const auto again = engine_.StartVm(vm.vm_id);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->last_error, "");
  EXPECT_EQ(engine_.ExecVm(vm.vm_id, Script("exit 3"), 30)->exit_code, 3);
}

// Runs `body` in another process, before which this one holds nothing open; its result is a bool.
bool InAnotherProcess(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body() ? 0 : 1);
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

TEST_F(EngineVmTest, AnotherProcessSeesAndUsesTheSameVm) {
  const Engine::Directories directories{state(), TestCache()};
  const VmInfo vm = CreateStarted(Options());
  EXPECT_TRUE(InAnotherProcess([&] {
    const auto other = MakeLocalEngine(directories);
    const auto seen = other->StatusVm(vm.vm_id);
    return seen && seen->state == GuestState::kStarted && other->ListVms()->size() == 1;
  }));
  // Stopped there, stopped here.
  EXPECT_TRUE(
      InAnotherProcess([&] { return MakeLocalEngine(directories)->StopVm(vm.vm_id).ok(); }));
  EXPECT_EQ(engine_.StatusVm(vm.vm_id)->state, GuestState::kStopped);
  // Started there by a process that ends: the VM goes on.
  EXPECT_TRUE(
      InAnotherProcess([&] { return MakeLocalEngine(directories)->StartVm(vm.vm_id).ok(); }));
  EXPECT_EQ(engine_.StatusVm(vm.vm_id)->state, GuestState::kStarted);
  const auto result = engine_.ExecVm(vm.vm_id, Script("echo here"), 30);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->stdout_text, "here\n");
}

TEST_F(EngineVmTest, TwoThatStartOneVmAtOnceGetOneGuest) {
  const VmInfo vm = Create(Options());
  std::vector<std::thread> threads;
  std::array<bool, 3> ok = {};
  for (std::size_t i = 0; i < ok.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto started = engine_.StartVm(vm.vm_id);
      ok[i] = started && started->state == GuestState::kStarted;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(ok[0] && ok[1] && ok[2]);
  std::size_t supervisors = 0;
  for (const pid_t pid : LiveDescendants()) {
    const auto name = sys::ReadFile("/proc/" + std::to_string(pid) + "/comm", 64);
    supervisors += name && name->starts_with("pyro-supervisor") ? 1 : 0;
  }
  EXPECT_EQ(supervisors, 1u);
}

}  // namespace
}  // namespace pyro
