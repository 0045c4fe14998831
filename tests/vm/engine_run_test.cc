// Runs, cancelled calls and networks, through the engine, with real guests.

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "engine_fixture.h"

namespace pyro {
namespace {

TEST_F(EngineVmTest, NetworkInfoTellsAddressesWhileStarted) {
  VmOptions options = Options();
  options.network = true;
  const VmInfo vm = Create(options);
  const auto before = engine_.NetworkInfoVm(vm.vm_id);
  ASSERT_TRUE(before);
  EXPECT_TRUE(before->network_enabled);
  EXPECT_EQ(before->address, "");
  const auto started = engine_.StartVm(vm.vm_id);
  ASSERT_TRUE(started) << started.error().message << "; " << started.error().hint;
  const auto info = engine_.NetworkInfoVm(vm.vm_id);
  ASSERT_TRUE(info);
  EXPECT_NE(info->address, "");
  EXPECT_NE(info->gateway, "");
  EXPECT_NE(info->dns, "");
  EXPECT_EQ(info->mac.size(), 17u);
  EXPECT_GT(info->prefix_length, 0);
  const auto inside =
      engine_.ExecVm(vm.vm_id, Script("cat /sys/class/net/*/address /proc/net/fib_trie"), 30);
  ASSERT_TRUE(inside);
  EXPECT_NE(inside->stdout_text.find(info->mac), std::string::npos);
  EXPECT_NE(inside->stdout_text.find(info->address), std::string::npos);
}

TEST_F(EngineVmTest, NetworkInfoOfAVmWithoutNetworkIsEmpty) {
  const VmInfo vm = CreateStarted(Options());
  const auto info = engine_.NetworkInfoVm(vm.vm_id);
  ASSERT_TRUE(info);
  EXPECT_FALSE(info->network_enabled);
  EXPECT_EQ(info->address + info->gateway + info->dns + info->mac, "");
}

// A pipe whose read end becomes readable when Fire is called.
class Trigger {
 public:
  Trigger() { EXPECT_EQ(::pipe2(fds_, O_CLOEXEC), 0); }
  ~Trigger() {
    ::close(fds_[0]);
    ::close(fds_[1]);
  }
  int fd() const { return fds_[0]; }
  void Fire() { EXPECT_EQ(::write(fds_[1], "x", 1), 1); }

 private:
  int fds_[2] = {-1, -1};
};

// Cancels as soon as the command has said something.
class CancellingSink : public OutputSink {
 public:
  explicit CancellingSink(Trigger& trigger) : trigger_(trigger) {}
  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    if (!fired_) trigger_.Fire();
    fired_ = true;
    return bytes.size();
  }

 private:
  Trigger& trigger_;
  bool fired_ = false;
};

TEST_F(EngineVmTest, CancelEndsARunAndItsVm) {
  Trigger cancel;
  CancellingSink sink(cancel);
  CallIo io;
  io.cancel_fd = cancel.fd();
  io.sink = &sink;
  const auto result = engine_.RunInVm(Options(), Script("echo begun; sleep 200"), 250, io);
  EXPECT_EQ(CodeOf(result), ErrorCode::kCancelled);
  EXPECT_TRUE(engine_.ListVms()->empty());
  EXPECT_TRUE(Eventually([] { return LiveDescendants().empty(); }));
}

TEST_F(EngineVmTest, CancelBeforeTheGuestIsUpEndsARun) {
  Trigger cancel;
  CallIo io;
  io.cancel_fd = cancel.fd();
  io.on_progress = [&](std::string_view phase, std::string_view, double) {
    if (phase == "start") cancel.Fire();
  };
  const auto result = engine_.RunInVm(Options(), Script("sleep 200"), 250, io);
  EXPECT_EQ(CodeOf(result), ErrorCode::kCancelled);
}

TEST_F(EngineVmTest, CancelOfAnExecDeletesItsVm) {
  const VmInfo vm = CreateStarted(Options());
  Trigger cancel;
  CancellingSink sink(cancel);
  CallIo io;
  io.cancel_fd = cancel.fd();
  io.sink = &sink;
  EXPECT_EQ(CodeOf(engine_.ExecVm(vm.vm_id, Script("echo begun; sleep 200"), 250, io)),
            ErrorCode::kCancelled);
  EXPECT_EQ(CodeOf(engine_.StatusVm(vm.vm_id)), ErrorCode::kNotFound);
}

TEST_F(EngineVmTest, RunGivesTheResultAndLeavesNoVm) {
  Command command;
  command.argv = {"printf", "%s|", "a b", "", "*", "it's"};
  const auto result = engine_.RunInVm(Options(), command, 30);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->stdout_text, "a b||*|it's|");
  EXPECT_EQ(result->exit_code, 0);
  EXPECT_GE(result->timings.ready_ms, result->timings.supervised_ms);
  EXPECT_TRUE(engine_.ListVms()->empty());
}

TEST_F(EngineVmTest, ATimeoutIsAResultWithTheOutputSoFar) {
  const auto result = engine_.RunInVm(Options(), Script("echo begun; sleep 100 & sleep 100"), 5);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->exit_code, 124);
  EXPECT_EQ(result->outcome, Outcome::kTimedOut);
  EXPECT_EQ(result->stdout_text, "begun\n");
}

}  // namespace
}  // namespace pyro
