// The agent with real commands, over a socket instead of a port and without cgroups: everything of
// it that need not be PID 1.

#include "agent/agent.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/testing/agent_fixture.h"
#include "base/check.h"
#include "base/text.h"
#include "base/time.h"
#include "sys/files.h"

namespace pyro::agent {
namespace {

using wire::Frame;
using wire::FrameType;
using wire::Stream;

TEST_F(AgentTest, EveryWordArrivesAsItIs) {
  const Ran ran = Run({"printf", "%s|", "a b", "", "*", "it's", "\xff"});
  EXPECT_EQ(ran.out, "a b||*|it's|\xff|");
  EXPECT_EQ(ran.exited.stdout_bytes, ran.out.size());
}

TEST_F(AgentTest, StreamsAreSeparateAndTheExitCodeIsReal) {
  const Ran ran = Finish(Shell("echo out; echo err >&2; exit 7"));
  EXPECT_EQ(ran.out, "out\n");
  EXPECT_EQ(ran.err, "err\n");
  EXPECT_EQ(ran.exited.outcome, Outcome::kExited);
  EXPECT_EQ(ran.exited.code, 7);
}

TEST_F(AgentTest, ReportsTheSignalAndWhatCannotRun) {
  const auto signalled = Finish(Shell("kill -SEGV $$")).exited;
  EXPECT_EQ(signalled.outcome, Outcome::kSignalled);
  EXPECT_EQ(signalled.ExitCode(), 128 + SIGSEGV);
  EXPECT_EQ(Run({"no-such-program"}).exited.ExitCode(), 127);
  EXPECT_EQ(Run({"/etc/passwd"}).exited.ExitCode(), 126);
}

TEST_F(AgentTest, EnvironmentHasDefaultsThatTheRequestOverrides) {
  const auto channel =
      Start({"sh", "-c", "echo $HOME $USER $LANG; echo $PATH; pwd"},
            {{"LANG", "de"}, {"PATH", "/usr/bin:/bin"}}, directory_.path().string());
  EXPECT_EQ(Finish(channel).out,
            fmt::format("/root root de\n/usr/bin:/bin\n{}\n", directory_.path().string()));
}

TEST_F(AgentTest, ADirectoryThatIsMissingAndOneThatIsNoneAreTold) {
  const auto why = [&](const std::string& cwd) {
    const wire::Exited exited = Finish(Start({"true"}, {}, cwd)).exited;
    EXPECT_EQ(exited.outcome, Outcome::kNotStarted) << cwd;
    EXPECT_EQ(exited.ExitCode(), 126) << cwd;
    return exited.code;
  };
  EXPECT_EQ(why(directory_.path() / "missing"), kNoDirectory);
  EXPECT_EQ(why("/dev/null"), kCwdNotDirectory);
  EXPECT_EQ(why("/dev/null/below"), kCwdNotDirectory);
  EXPECT_EQ(Finish(Start({"true"})).exited.ExitCode(), 0);
}

TEST_F(AgentTest, ADirectoryIsMadeForTheCommandThatAsksForIt) {
  const std::string cwd = directory_.path() / "made" / "for it";
  EXPECT_EQ(Finish(StartMaking(cwd, "", "pwd")).out, cwd + "\n");
  EXPECT_EQ(Finish(StartMaking(cwd + "/", "", "pwd")).out, cwd + "\n");
  const Ran none = Finish(StartMaking("/dev/null/below", "", "true"));
  EXPECT_EQ(none.exited.code, kCwdNotDirectory);
  EXPECT_EQ(Finish(StartMaking("/", "", "pwd")).out, "/\n");
}

TEST_F(AgentTest, ADirectoryIsMadeForTheCommandsUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const std::filesystem::path cwd = directory_.path() / "a" / "b";
  EXPECT_EQ(Finish(StartMaking(cwd, "65432:54321", "true")).exited.ExitCode(), 0);
  struct stat info {};
  ASSERT_EQ(::stat(cwd.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 65432U);
  EXPECT_EQ(info.st_gid, 54321U);
  ASSERT_EQ(::stat(cwd.parent_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
}

class StoppedAgentTest : public AgentTest {
 protected:
  StoppedAgentTest() { stop_signal_ = SIGUSR1; }
};

TEST_F(StoppedAgentTest, WhatRunsAtTheEndGetsTheSignalAndTime) {
  const std::string mark = directory_.path() / "mark";
  // More than a pipe holds: nothing may wait for a reader.
  const auto channel =
      Shell(fmt::format("trap 'head -c 1000000 /dev/zero; echo ended >{}; exit' USR1; echo up; "
                        "while :; do sleep 0.01; done",
                        mark));
  EXPECT_EQ(ReadUntil(channel, 3), "up\n");
  PowerOff();
  EXPECT_EQ(sys::ReadFile(mark, 100).value_or(""), "ended\n");
}

TEST_F(StoppedAgentTest, WhatIgnoresTheSignalIsKilled) {
  const std::string fifo = MakeFifo("held");
  const auto channel = Shell(fmt::format("trap '' USR1; exec 3<>{}; echo up; sleep 1000", fifo));
  EXPECT_EQ(ReadUntil(channel, 3), "up\n");
  PowerOff();
  // Its end of the pipe goes with it, as soon as the kernel has ended all of its processes.
  const auto has_a_reader = [&fifo] {
    return sys::UniqueFd(::open(fifo.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)).valid();
  };
  const auto deadline = Deadline::After(std::chrono::seconds(60));
  while (has_a_reader() && !deadline.Expired()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_FALSE(has_a_reader());
}

TEST_F(AgentTest, AUserThatIsNotThereIsTold) {
  const auto why = [&](std::string user) {
    const wire::Exited exited = Finish(StartAs(std::move(user), "true")).exited;
    EXPECT_EQ(exited.outcome, Outcome::kNotStarted);
    return exited.code;
  };
  EXPECT_EQ(why("no such user"), kNoUser);
  EXPECT_EQ(why("root:no such group"), kNoGroup);
}

TEST_F(AgentTest, ACommandOfAUserHasItsIdsAndMayOpenItsStreamsByName) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const Ran ran = Finish(StartAs("65432:54321",
                                 "cat >/dev/stdout </dev/stdin; echo err >/dev/stderr; id -u; "
                                 "id -G; echo $HOME $USER $LOGNAME \"$GIT_CONFIG_VALUE_0\"; "
                                 "grep CapEff /proc/self/status"),
                         "in\n");
  EXPECT_EQ(ran.err, "err\n");
  EXPECT_EQ(ran.out, "in\n65432\n54321\n/ 65432 65432 *\nCapEff:\t0000000000000000\n");
  const Ran root = Finish(StartAs("root", "id -u; echo $HOME${GIT_CONFIG_COUNT-}"));
  EXPECT_EQ(root.out, "0\n/root\n");
}

TEST_F(AgentTest, MegabytesGoInAndComeBackWhole) {
  std::string input(5 << 20, '\0');
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<char>(i * i >> 7);
  const Ran ran = Finish(Start({"cat"}), input);
  EXPECT_TRUE(ran.out == input);
  EXPECT_EQ(ran.exited.code, 0);
}

TEST_F(AgentTest, InputThatIsNotReadIsDroppedWithItsCredit) {
  const std::string fifo = MakeFifo("go");
  const auto channel = Shell(fmt::format("exec 0<&-; read x < {}; echo $x", fifo));
  ASSERT_EQ(Take(channel).type, FrameType::kStarted);
  // Four windows fit only if the credit for each comes back.
  std::size_t credit = wire::kInitialCredit;
  for (int i = 0; i < 16; ++i) {
    while (credit < wire::kMaxDataBytes) credit += *wire::DecodeCredit(Take(channel));
    Write(wire::EncodeData(channel, Stream::kStdin, std::string(wire::kMaxDataBytes, 'x')));
    credit -= wire::kMaxDataBytes;
  }
  {
    const sys::UniqueFd go(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(sys::WriteAll(go.get(), "end\n").ok());
  }
  EXPECT_EQ(Finish(channel).out, "end\n");
}

TEST_F(AgentTest, AKillReachesTheWholeTreeAndKeepsWhatWasSaid) {
  const std::string fifo = MakeFifo("alive");
  const sys::UniqueFd alive(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  const auto channel = Shell(fmt::format("exec 3>{}; sleep 1000 & echo before; sleep 1000", fifo));
  EXPECT_EQ(ReadUntil(channel, 7), "before\n");
  Send(wire::Kill{wire::KillReason::kTimedOut}.ToFrame(channel));
  EXPECT_EQ(Finish(channel).exited.outcome, Outcome::kTimedOut);
  pollfd poll{alive.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&poll, 1, 60'000), 1);
  char byte;
  EXPECT_EQ(::read(alive.get(), &byte, 1), 0);  // The last process that held it is dead.
}

TEST_F(AgentTest, OutputOfACancelledCommandIsDelivered) {
  const auto channel = Shell("head -c 200000 /dev/zero; echo end >&2; exec sleep 1000");
  EXPECT_EQ(ReadUntil(channel, 200004).size(), 200004u);
  Send(wire::Kill{wire::KillReason::kCancelled}.ToFrame(channel));
  const Ran ran = Finish(channel);
  EXPECT_EQ(ran.exited.outcome, Outcome::kCancelled);
  EXPECT_EQ(ran.exited.stdout_bytes, 200000u);
  EXPECT_EQ(ran.exited.stderr_bytes, 4u);
}

TEST_F(AgentTest, AProcessInTheBackgroundDelaysNothingAndLivesOn) {
  const std::string go = MakeFifo("go");
  const std::string done = MakeFifo("done");
  const auto channel = Shell(
      fmt::format("(read x < {}; echo late; echo late >&2; echo $x > {}) & echo said", go, done));
  const Ran ran = Finish(channel);
  EXPECT_EQ(ran.out, "said\n");
  EXPECT_EQ(ran.exited.code, 0);
  {
    const sys::UniqueFd fd(::open(go.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(sys::WriteAll(fd.get(), "alive\n").ok());
  }
  // It could write to its old output without being killed by that.
  const sys::UniqueFd fd(::open(done.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(*sys::ReadAll(fd.get(), 100), "alive\n");
  EXPECT_EQ(Run({"true"}).exited.code, 0);
  for (const Frame& frame : kept_) EXPECT_NE(frame.channel, channel);
}

TEST_F(AgentTest, AStalledCommandStopsNoOther) {
  const auto stalled = Start({"yes"});
  EXPECT_EQ(ReadUntil(stalled, wire::kInitialCredit).size(), wire::kInitialCredit);
  std::vector<std::uint32_t> channels;
  for (int i = 0; i < 20; ++i) {
    channels.push_back(Shell(
        fmt::format("head -c 1000000 /dev/zero | tr '\\0' '{}'", static_cast<char>('a' + i))));
  }
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const Ran ran = Finish(channels[i]);
    EXPECT_TRUE(ran.out == std::string(1'000'000, static_cast<char>('a' + i)));
  }
  for (const Frame& frame : kept_) EXPECT_NE(frame.channel, stalled);
  Write(wire::EncodeCredit(stalled, Stream::kStdout, 1));
  EXPECT_EQ(ReadUntil(stalled, 1).size(), 1u);
}

TEST_F(AgentTest, WhatAnEndedCommandLeftInThePipeWaitsForCredit) {
  const auto channel = Start({"head", "-c", "300000", "/dev/zero"});
  EXPECT_EQ(ReadUntil(channel, wire::kInitialCredit).size(), wire::kInitialCredit);
  EXPECT_EQ(Run({"true"}).exited.code, 0);
  for (const Frame& frame : kept_) EXPECT_EQ(frame.type, FrameType::kEof);  // That of stderr.
  Write(wire::EncodeCredit(channel, Stream::kStdout, 100'000));
  const Ran ran = Finish(channel);
  EXPECT_EQ(ran.out.size(), 300'000 - wire::kInitialCredit);
  EXPECT_EQ(ran.exited.stdout_bytes, 300'000u);
  EXPECT_EQ(ran.exited.outcome, Outcome::kExited);
}

TEST_F(AgentTest, OutputThatOthersHoldOpenAtTheEndIsTold) {
  const sys::TestDirectory directory;
  const std::string go = directory.path() / "go";
  const std::string up = directory.path() / "up";
  ASSERT_EQ(::mkfifo(go.c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo(up.c_str(), 0600), 0);
  // The shell waits for `up`: only then the process in the background has redirected its output.
  const auto left_open = [&](const char* redirection) {
    const auto channel = Shell(
        fmt::format("(: > {1}; read x < {0}) {2} & read y < {1}; echo x", go, up, redirection));
    return Finish(channel).exited.output_left_open;
  };
  EXPECT_FALSE(Finish(Shell("echo x | cat")).exited.output_left_open);
  EXPECT_FALSE(left_open(">/dev/null 2>&1"));
  EXPECT_TRUE(left_open("2>/dev/null"));
  EXPECT_TRUE(left_open(">/dev/null"));
  const sys::UniqueFd end(::open(go.c_str(), O_RDWR | O_CLOEXEC));  // Lets all of them go on.
  EXPECT_TRUE(end.valid());
}

TEST_F(AgentTest, AProcessThatRedirectsJustAfterTheEndLeavesNothingOpen) {
  const sys::TestDirectory directory;
  const std::string go = directory.path() / "go";
  ASSERT_EQ(::mkfifo(go.c_str(), 0600), 0);
  // $$ is the shell, which can be signalled until it has been reaped. Five programs take longer
  // than the agent's first look.
  const std::string script = fmt::format(
      "(while kill -0 $$; do :; done; for i in 1 2 3 4 5; do /bin/true; done; exec >/dev/null; "
      "read x < {}) 2>/dev/null & echo x",
      go);
  // On a busy machine the process may take its time; without the second look it is always late.
  bool left_open = true;
  for (int i = 0; i < 50 && left_open; ++i) {
    left_open = Finish(Shell(script)).exited.output_left_open;
  }
  EXPECT_FALSE(left_open);
  const sys::UniqueFd end(::open(go.c_str(), O_RDWR | O_CLOEXEC));  // Lets all of them go on.
  EXPECT_TRUE(end.valid());
}

TEST_F(AgentTest, WhyACommandDidNotStartIsToldPrecisely) {
  const sys::TestDirectory directory;
  const auto file = [&](const char* name, std::string_view text, mode_t mode) {
    const std::string path = directory.path() / name;
    EXPECT_TRUE(sys::WriteFileAtomically(path, std::string(text)).ok());
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  };
  const auto why = [&](const std::string& program) {
    const wire::Exited exited = Run({program}).exited;
    EXPECT_EQ(exited.outcome, Outcome::kNotStarted) << program;
    return exited.code;
  };
  EXPECT_EQ(why(directory.path() / "missing"), ENOENT);
  EXPECT_EQ(why("no-such-program-at-all"), ENOENT);
  EXPECT_EQ(why(file("interpreter", "#!/no/such/interpreter\n", 0755)), ELIBACC);
  EXPECT_EQ(why(file("plain", "echo x\n", 0644)), EACCES);
  EXPECT_EQ(why(directory.path()), EISDIR);
  EXPECT_EQ(why(directory.path() / "plain" / "below"), ENOTDIR);
}

TEST_F(AgentTest, OrphansAreReaped) {
  EXPECT_EQ(Finish(Shell("(setsid true &) ; (true &)")).exited.code, 0);
  const std::string children = fmt::format("/proc/{0}/task/{0}/children", agent_);
  const Deadline deadline = Deadline::After(std::chrono::seconds(60));
  while (!TrimSpace(*sys::ReadFile(children, 4096)).empty()) {
    ASSERT_FALSE(deadline.Expired());
    ::usleep(1000);
  }
}

TEST_F(AgentTest, DurationIsThatOfTheCommand) {
  const auto exited = Run({"sleep", "0.3"}).exited;
  EXPECT_GE(exited.duration_us, 300'000);
}

TEST_F(AgentTest, TheEndIsToldWhenTheDiskHasItAndDelaysNoOtherCommand) {
  const auto synced = StartSynced("echo said; exit 3");
  EXPECT_EQ(ReadUntil(synced, 5), "said\n");
  const Ran other = Finish(Shell("sleep 0.2; echo other"));
  EXPECT_EQ(other.out, "other\n");
  for (const Frame& frame : kept_) EXPECT_EQ(frame.type, FrameType::kEof);  // Both streams'.
  EndSync();
  const Ran ran = Finish(synced);
  EXPECT_EQ(ran.exited.outcome, Outcome::kExited);
  EXPECT_EQ(ran.exited.code, 3);
}

TEST_F(AgentTest, ATimeOutIsSyncedTooAndAFailedSyncChangesNothing) {
  const auto channel = StartSynced("echo said; exec sleep 1000");
  EXPECT_EQ(ReadUntil(channel, 5), "said\n");
  Send(wire::Kill{wire::KillReason::kTimedOut}.ToFrame(channel));
  EXPECT_EQ(Finish(Shell("sleep 0.1")).exited.code, 0);
  for (const Frame& frame : kept_) EXPECT_NE(frame.type, FrameType::kExited);
  EndSync('e');
  EXPECT_EQ(Finish(channel).exited.outcome, Outcome::kTimedOut);
}

TEST_F(AgentTest, DurationIsWithoutTheSync) {
  const auto channel = StartSynced("true");
  std::int64_t waited_us = 0;
  for (int i = 0; i < 5; ++i) waited_us += Run({"sleep", "0.2"}).exited.duration_us;
  EndSync();
  EXPECT_LT(Finish(channel).exited.duration_us, waited_us);
}

TEST_F(AgentTest, ASyncThatRunsEndsWithTheAgent) {
  const auto channel = StartSynced("true");
  for (int eofs = 0; eofs < 2;) eofs += Take(channel).type == FrameType::kEof;
  Send(wire::Plain(FrameType::kPowerOff));
  EndSync();
  int status = 0;
  ASSERT_EQ(::waitpid(agent_, &status, 0), agent_);
  agent_ = -1;
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(AgentTest, NonsenseEndsIt) {
  const auto channel = Start({"sleep", "1000"});
  ASSERT_EQ(Take(channel).type, FrameType::kStarted);
  Write(std::string(64, '\xff'));
  EXPECT_EQ(wire::ErrorFromFrame(Take(0)).code, ErrorCode::kProtocol);
  int status = 0;
  ASSERT_EQ(::waitpid(agent_, &status, 0), agent_);
  agent_ = -1;
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST_F(AgentTest, PowerOffEndsItWell) {
  Send(wire::Plain(FrameType::kPowerOff));
  int status = 0;
  ASSERT_EQ(::waitpid(agent_, &status, 0), agent_);
  agent_ = -1;
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace pyro::agent
