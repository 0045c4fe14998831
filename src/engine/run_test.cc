// One command in a VM of its own, and nothing left of it.

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "engine/testing/trigger.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

class RunTest : public EngineFixture {
 protected:
  Result<ExecResult> Run(const std::string& script, const CallIo& io = {}) {
    return engine_->RunInVm(Vm(), Shell(script), 30, io);
  }

  // No row and no file of any VM.
  void ExpectNoTrace() {
    EXPECT_TRUE(engine_->ListVms()->empty());
    EXPECT_TRUE(fs::is_empty(state_ / "vms"));
  }
};

TEST_F(RunTest, TellsHowTheCommandWentAndLeavesNoTrace) {
  const auto result = Run("pwd; echo to-stderr >&2; exit 3");
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->stdout_text, "/workspace\n");
  EXPECT_EQ(result->stderr_text, "to-stderr\n");
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->outcome, Outcome::kExited);
  EXPECT_EQ(result->execution_mode, ExecutionMode::kGuestVirtioSerial);
  EXPECT_EQ(result->environment, "debian:12");
  EXPECT_EQ(result->accelerator, "tcg");
  EXPECT_EQ(result->timings.start, "boot");
  EXPECT_GE(result->timings.removed_ms, result->timings.ended_ms);
  EXPECT_GE(result->timings.ended_ms, result->timings.ready_ms);
  ExpectNoTrace();
}

TEST_F(RunTest, PullsTheEnvironmentOnceAndSaysWhatItDoes) {
  std::vector<std::string> phases;
  CallIo io;
  io.on_progress = [&](std::string_view phase, std::string_view, double) {
    if (phases.empty() || phases.back() != phase) phases.emplace_back(phase);
  };
  ASSERT_TRUE(Run("true", io).ok());
  ASSERT_FALSE(phases.empty());
  EXPECT_EQ(phases.front(), "install");
  EXPECT_NE(std::find(phases.begin(), phases.end(), "setup"), phases.end());
  phases.clear();
  ASSERT_TRUE(Run("true", io).ok());
  EXPECT_EQ(phases.front(), "prepare");
}

TEST_F(RunTest, PassesStdinOnAndItsEnd) {
  auto pipe = sys::MakePipe();
  ASSERT_TRUE(pipe.ok());
  ASSERT_TRUE(sys::WriteAll(pipe->write.get(), "one\ntwo\n").ok());
  pipe->write.Reset();
  CallIo io;
  io.stdin_fd = pipe->read.get();
  const auto result = Run("cat; wc -c </dev/null", io);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->stdout_text, "one\ntwo\n0\n");
}

TEST_F(RunTest, AStdinThatCannotBeReadIsRefusedExceptTheOneOfNohup) {
  auto file = sys::OpenFile(directory_.path() / "file", O_WRONLY | O_CREAT);
  ASSERT_TRUE(file.ok());
  CallIo io;
  io.stdin_fd = file->get();
  const auto refused = Run("cat", io);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused.error().message, "stdin is not open for reading");
  EXPECT_FALSE(Engine::CheckCommand(Shell("cat"), io));
  auto null = sys::OpenFile("/dev/null", O_WRONLY);
  ASSERT_TRUE(null.ok());
  io.stdin_fd = null->get();
  EXPECT_EQ(Run("cat; echo end", io)->stdout_text, "end\n");
}

TEST_F(RunTest, CarriesMoreOutputThanAnyWindowAndKeepsHeadAndTail) {
  const auto result = Run("head -c 3000000 /dev/zero | tr '\\0' x; echo end");
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->stdout_bytes, 3000004u);
  EXPECT_TRUE(result->stdout_truncated);
  EXPECT_LE(result->stdout_text.size(), kMaxResultBytes + 200);
  EXPECT_TRUE(result->stdout_text.ends_with("end\n"));
}

TEST_F(RunTest, AProgramThatIsNotThereIsAResult) {
  Command command;
  command.argv = {"no-such-program"};
  const auto result = engine_->RunInVm(Vm(), command, 30);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->outcome, Outcome::kNotStarted);
  EXPECT_EQ(result->exit_code, 127);
}

TEST_F(RunTest, ACommandHasItsVariablesAndItsDirectory) {
  Command command = Shell("mkdir -p a; echo \"$ONE|$TWO|$HOME\"; pwd");
  command.env = {{"ONE", "1 = one"}, {"TWO", ""}, {"HOME", "/tmp"}};
  EXPECT_EQ(engine_->RunInVm(Vm(), command, 30)->stdout_text, "1 = one||/tmp\n/workspace\n");
  command.cwd = "/usr/bin";
  command.argv = {"pwd"};
  command.script.reset();
  EXPECT_EQ(engine_->RunInVm(Vm(), command, 30)->stdout_text, "/usr/bin\n");
  command.cwd = "missing/below";
  const auto result = engine_->RunInVm(Vm(), command, 30);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->outcome, Outcome::kNotStarted);
  EXPECT_EQ(result->exit_code, 126);
  EXPECT_EQ(result->explanation.message,
            "the directory '/workspace/missing/below' to run it in does not exist");
}

TEST_F(RunTest, AUserThatTheGuestLacksIsNamed) {
  Command command = Shell("true");
  command.user = "no-such-user:adm";
  const auto result = engine_->RunInVm(Vm(), command, 30);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->outcome, Outcome::kNotStarted);
  EXPECT_EQ(result->explanation.message, "the guest has no user 'no-such-user'");
}

TEST_F(RunTest, WhatNoProgramCanBeGivenIsRefusedWithoutItsValue) {
  using namespace std::string_literals;
  const auto refused = [&](const Command& command) {
    const auto result = engine_->RunInVm(Vm(), command, 30);
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ((result.error().message + result.error().hint).find("secret"), std::string::npos);
    return result.error().message;
  };
  const auto with = [&](std::string name, std::string value) {
    Command command = Shell("true");
    command.env[std::move(name)] = std::move(value);
    return refused(command);
  };
  EXPECT_EQ(with("", "secret"), "a variable in env has no name");
  EXPECT_EQ(with("A=secret", ""), "the name of the variable 'A' in env holds a '='");
  EXPECT_EQ(with("A", "secret\0"s), "the value of the variable 'A' in env holds a NUL byte");
  EXPECT_EQ(with("A", "secret" + std::string(140'000, 'x')),
            "the variable 'A' in env has 140008 bytes with its name");
  Command many = Shell("true");
  for (int i = 0; i < 12; ++i) many.env[std::to_string(i)] = std::string(120'000, 'x');
  EXPECT_NE(refused(many).find("words and variables"), std::string::npos);
  Command nul = Shell("true");
  nul.cwd = "a\0b"s;
  EXPECT_EQ(refused(nul), "cwd holds a NUL byte");
  for (const char* user : {":adm", "web:", "a:b:c", "a\nb"}) {
    Command named = Shell("true");
    named.user = user;
    EXPECT_NE(refused(named).find("names no user"), std::string::npos) << user;
  }
  EXPECT_FALSE(std::filesystem::exists(state_ / "vms"));
}

TEST_F(RunTest, ATimeLimitOfNoneIsNone) {
  EXPECT_EQ(engine_->RunInVm(Vm(), Shell("sleep 0.3; echo end"), 0)->stdout_text, "end\n");
  EXPECT_FALSE(engine_->RunInVm(Vm(), Shell("true"), -1).ok());
}

TEST_F(RunTest, ACommandIsKilledAtItsTimeLimit) {
  const auto result = engine_->RunInVm(Vm(), Shell("echo begun; sleep 600"), 1);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->outcome, Outcome::kTimedOut);
  EXPECT_EQ(result->exit_code, 124);
  EXPECT_EQ(result->stdout_text, "begun\n");
  ExpectNoTrace();
}

TEST_F(RunTest, ACancelledCallEndsItsVm) {
  auto pipe = sys::MakePipe();
  ASSERT_TRUE(pipe.ok());
  Trigger trigger([&] { return sys::WriteAll(pipe->write.get(), "x"); });
  CallIo io;
  io.sink = &trigger;
  io.cancel_fd = pipe->read.get();
  const auto result = Run("echo begun; sleep 600", io);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  ExpectNoTrace();
}

TEST_F(RunTest, AReaderThatIsGoneEndsTheCommand) {
  Trigger trigger([]() -> Status { return MakeError(ErrorCode::kUnavailable, "reader gone"); });
  CallIo io;
  io.sink = &trigger;
  const auto result = Run("echo begun; sleep 600", io);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "reader gone");
  ExpectNoTrace();
}

TEST_F(RunTest, AGuestThatIsLostIsAnErrorAndNoResult) {
  Trigger trigger([&]() -> Status {
    KillGuest(fs::directory_iterator(state_ / "vms")->path().filename());
    return OkStatus();
  });
  CallIo io;
  io.sink = &trigger;
  const auto result = Run("echo begun; sleep 600", io);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kGuestUnavailable) << result.error().message;
  ExpectNoTrace();
}

TEST_F(RunTest, ASupervisorThatIsKilledIsAnErrorAndItsVmIsClearedByTheNextCall) {
  Trigger trigger([&]() -> Status {
    KillSupervisor(fs::directory_iterator(state_ / "vms")->path().filename());
    return OkStatus();
  });
  CallIo io;
  io.sink = &trigger;
  const auto result = Run("echo begun; sleep 600", io);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kGuestUnavailable) << result.error().message;
  const auto reaped = engine_->ReapExpired();
  ASSERT_TRUE(reaped.ok());
  EXPECT_EQ(reaped->vm_ids.size(), 1u);
  ExpectNoTrace();
}

TEST_F(RunTest, AGuestThatDoesNotBootTellsWhyWithItsConsole) {
  world_.kernel = "panic!";
  const auto result = Run("true");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_NE(result.error().message.find("Kernel panic"), std::string::npos)
      << result.error().message;
  ExpectNoTrace();
}

TEST_F(RunTest, RequestsThatCannotSucceedAreRefusedByName) {
  const auto refused = [&](const VmOptions& options, const Command& command, std::int64_t timeout,
                           const std::string& name) {
    const auto result = engine_->RunInVm(options, command, timeout);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(result.error().message.find(name), std::string::npos) << result.error().message;
    EXPECT_FALSE(result.error().hint.empty());
  };
  const Command fine = Shell("true");
  VmOptions options = Vm();
  options.vcpu_count = 0;
  refused(options, fine, 30, "vcpu_count is 0");
  options = Vm();
  options.mem_mib = 1;
  refused(options, fine, 30, "mem_mib is 1");
  options = Vm();
  options.ttl_seconds = 0;
  refused(options, fine, 30, "ttl_seconds is 0");
  refused(Vm(), fine, -1, "timeout_seconds is -1");
  refused(Vm(), Command{}, 30, "command is empty");
  Command command;
  command.argv = {std::string("a\0b", 3)};
  refused(Vm(), command, 30, "NUL byte");
  command.argv = {"echo", std::string(200'000, 'x')};
  refused(Vm(), command, 30, "a word of the command has 200000 bytes");
  options = Vm();
  options.environment = "no-such-thing";
  EXPECT_EQ(engine_->RunInVm(options, fine, 30).error().code, ErrorCode::kNotFound);
}

TEST_F(RunTest, WithoutAGuestTheCommandRunsOnTheHostOnlyWhereThatIsAllowed) {
  world_.build = MakeError(ErrorCode::kMissingTool, "no mmdebstrap", "install it");
  const auto refused = Run("true");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kMissingTool);

  VmOptions options = Vm();
  options.allow_host_compat = true;
  std::string notice;
  CallIo io;
  io.on_notice = [&](std::string_view text) { notice = text; };
  const auto result = engine_->RunInVm(options, Shell("pwd; cat; echo no >&2; exit 4"), 30, io);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->execution_mode, ExecutionMode::kHostCompat);
  EXPECT_EQ(result->stdout_text, "/workspace\n");
  EXPECT_EQ(result->stderr_text, "no\n");
  EXPECT_EQ(result->exit_code, 4);
  EXPECT_NE(notice.find("no mmdebstrap"), std::string::npos) << notice;
  ExpectNoTrace();
}

TEST_F(RunTest, OnTheHostAProgramThatCannotBeStartedIsNamedAsInAGuest) {
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror");
  VmOptions options = Vm();
  options.allow_host_compat = true;
  const auto run = [&](std::vector<std::string> argv) {
    auto result = engine_->RunInVm(options, Command{.argv = std::move(argv), .script = {}}, 30);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return std::move(result).value();
  };
  const ExecResult missing = run({"no-such-program"});
  EXPECT_EQ(missing.outcome, Outcome::kNotStarted);
  EXPECT_EQ(missing.exit_code, 127);
  EXPECT_EQ(missing.explanation.message, "no program 'no-such-program' is in the PATH");
  EXPECT_EQ(run({"./missing"}).explanation.message, "'./missing' does not exist");
  EXPECT_EQ(run({"/root/hidden"}).explanation.message, "'/root/hidden' does not exist");
  const ExecResult directory = run({"/usr"});
  EXPECT_EQ(directory.exit_code, 126);
  EXPECT_EQ(directory.explanation.message, "'/usr' is a directory, not a program");
  EXPECT_EQ(run({"/etc/passwd"}).explanation.message, "'/etc/passwd' is not executable");
  // A program's own code is no such case.
  const ExecResult own = run({"sh", "-c", "exit 127"});
  EXPECT_EQ(own.outcome, Outcome::kExited);
  EXPECT_EQ(own.explanation.message, "");
}

TEST_F(RunTest, OnTheHostVariablesAndDirectoryHoldAndAUserIsRefused) {
  using namespace std::string_literals;
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror");
  VmOptions options = Vm();
  options.allow_host_compat = true;
  Command command = Shell("echo \"$A|$LD_PRELOAD\"; pwd; ls /proc/self/fd | wc -l");
  command.env = {{"A", "it's $HOME\n\\"}, {"LD_PRELOAD", ""}};
  command.cwd = "/usr/bin";
  const auto result = engine_->RunInVm(options, command, 0);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->stdout_text, "it's $HOME\n\\|\n/usr/bin\n4\n");

  command.cwd = "missing";
  const auto missing = engine_->RunInVm(options, command, 30);
  ASSERT_TRUE(missing.ok()) << missing.error().message;
  EXPECT_EQ(missing->explanation.message,
            "the directory '/workspace/missing' to run it in does not exist");
  const std::string long_name(300, 'n');  // No file can have it.
  for (const std::string& cwd : {"/tmp/missing"s, "/usr/../missing"s, long_name}) {
    command.cwd = cwd;
    const auto none = engine_->RunInVm(options, command, 30);
    ASSERT_TRUE(none.ok()) << none.error().message;
    EXPECT_EQ(none->outcome, Outcome::kNotStarted) << cwd;
    EXPECT_TRUE(none->explanation.message.ends_with("to run it in does not exist")) << cwd;
  }
  for (const char* cwd : {"/tmp", "/tmp/", "/workspace/../usr"}) {
    command.cwd = cwd;
    EXPECT_EQ(engine_->RunInVm(options, command, 30)->exit_code, 0) << cwd;
  }
  command.cwd.clear();

  command.env["a.b"] = "secret";
  EXPECT_EQ(engine_->RunInVm(options, command, 30).error().message,
            "a command on the host takes no variable 'a.b'");
  command.env.clear();
  command.user = "daemon";
  EXPECT_EQ(engine_->RunInVm(options, command, 30).error().message,
            "a command on the host runs as no other user than its jail's");
  ExpectNoTrace();
}

TEST_F(RunTest, OnTheHostStdinTimeLimitAndCancellationHoldAsWell) {
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror");
  VmOptions options = Vm();
  options.allow_host_compat = true;
  auto input = sys::MakePipe();
  ASSERT_TRUE(input.ok());
  ASSERT_TRUE(sys::WriteAll(input->write.get(), "given\n").ok());
  input->write.Reset();
  CallIo io;
  io.stdin_fd = input->read.get();
  EXPECT_EQ(engine_->RunInVm(options, Shell("cat"), 30, io)->stdout_text, "given\n");

  const auto late = engine_->RunInVm(options, Shell("sleep 600"), 1);
  ASSERT_TRUE(late.ok()) << late.error().message;
  EXPECT_EQ(late->outcome, Outcome::kTimedOut);

  auto pipe = sys::MakePipe();
  ASSERT_TRUE(pipe.ok());
  Trigger trigger([&] { return sys::WriteAll(pipe->write.get(), "x"); });
  CallIo cancelled;
  cancelled.sink = &trigger;
  cancelled.cancel_fd = pipe->read.get();
  const auto ended = engine_->RunInVm(options, Shell("echo begun; sleep 600"), 30, cancelled);
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code, ErrorCode::kCancelled);
  ExpectNoTrace();
}

// A command that may have done something is not run a second time.
TEST_F(RunTest, ALostGuestIsNoReasonToRunTheCommandOnTheHost) {
  VmOptions options = Vm();
  options.allow_host_compat = true;
  Trigger trigger([&]() -> Status {
    KillGuest(fs::directory_iterator(state_ / "vms")->path().filename());
    return OkStatus();
  });
  CallIo io;
  io.sink = &trigger;
  const auto result = engine_->RunInVm(options, Shell("echo begun; sleep 600"), 30, io);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kGuestUnavailable);
}

}  // namespace
}  // namespace pyro::engine
