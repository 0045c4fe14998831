#include "sys/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "sys/files.h"

namespace pyro::sys {
namespace {

SpawnOptions Shell(const std::string& script) {
  SpawnOptions options;
  options.argv = {"/bin/sh", "-c", script};
  options.env = {"PATH=/usr/bin:/bin"};
  return options;
}

Deadline Soon() { return Deadline::After(std::chrono::seconds(30)); }

TEST(ChildProcessTest, ReportsExitCodeAndBothStreams) {
  auto output = RunCommand(Shell("echo out; echo err >&2; exit 7"), Soon());
  ASSERT_TRUE(output.ok()) << output.error().message;
  EXPECT_EQ(output->stdout_text, "out\n");
  EXPECT_EQ(output->stderr_text, "err\n");
  EXPECT_FALSE(output->status.signalled);
  EXPECT_EQ(output->status.code, 7);
}

TEST(ChildProcessTest, ReportsTheSignal) {
  auto output = RunCommand(Shell("kill -SEGV $$"), Soon());
  ASSERT_TRUE(output.ok());
  EXPECT_TRUE(output->status.signalled);
  EXPECT_EQ(output->status.code, SIGSEGV);
}

TEST(ChildProcessTest, TakesEverythingBelowWithIt) {
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  // In sessions of their own: nothing but the namespace holds them.
  SpawnOptions options = Shell("setsid setsid sleep 1000 & sleep 1000");
  options.pass.push_back(std::move(pipe->write));
  options.own_pid_namespace = true;
  auto child = ChildProcess::Spawn(std::move(options));
  ASSERT_TRUE(child.ok()) << child.error().message;
  ASSERT_TRUE(child->Signal(SIGKILL).ok());
  ASSERT_TRUE(child->Wait(Soon()).ok());
  pollfd entry{pipe->read.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 1) << "a process still holds the pipe";
}

TEST(ChildProcessTest, KeepsItsUserInANamespaceOfItsOwn) {
  SpawnOptions options = Shell("id -u; id -g; echo $$; cat /proc/1/comm; exit 7");
  options.own_pid_namespace = true;
  auto output = RunCommand(std::move(options), Soon());
  ASSERT_TRUE(output.ok()) << output.error().message;
  EXPECT_EQ(output->stdout_text, fmt::format("{}\n{}\n1\nsh\n", ::geteuid(), ::getegid()));
  EXPECT_EQ(output->status.code, 7);
}

TEST(ChildProcessTest, InheritsNothingButWhatIsPassed) {
  auto leak = OpenFile("/dev/zero", O_RDONLY);
  ASSERT_TRUE(leak.ok());
  const UniqueFd inheritable(
      ::fcntl(leak->get(), F_DUPFD, 40));  // NOLINT: without close-on-exec on purpose
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  SpawnOptions options = Shell("ls /proc/self/fd; echo hello >&3; env");
  options.pass.push_back(std::move(pipe->write));
  ::setenv("PYRO_LEAKED", "1", 1);
  auto output = RunCommand(std::move(options), Soon());
  ASSERT_TRUE(output.ok());
  // 0 to 3 were given; ls itself opens one more for the directory.
  EXPECT_TRUE(output->stdout_text.starts_with("0\n1\n2\n3\n4\n")) << output->stdout_text;
  EXPECT_EQ(output->stdout_text.find("40"), std::string::npos);
  EXPECT_EQ(output->stdout_text.find("PYRO_LEAKED"), std::string::npos);
  EXPECT_EQ(*ReadAll(pipe->read.get(), 100), "hello\n");
}

TEST(ChildProcessTest, SaysWhyAProgramCannotRun) {
  SpawnOptions missing;
  missing.argv = {"/no/such/program"};
  EXPECT_EQ(ChildProcess::Spawn(std::move(missing)).error().sys_errno, ENOENT);
  SpawnOptions directory;
  directory.argv = {"/tmp"};
  EXPECT_EQ(ChildProcess::Spawn(std::move(directory)).error().sys_errno, EACCES);
  SpawnOptions nowhere = Shell("true");
  nowhere.cwd = "/no/such/directory";
  EXPECT_EQ(ChildProcess::Spawn(std::move(nowhere)).error().code, ErrorCode::kNotFound);
}

// A cgroup of version 2 of its own, where this user may make one.
class TestCgroup {
 public:
  TestCgroup() {
    const auto mounts = ReadFile("/proc/self/mounts", 1 << 20).value_or("");
    for (const std::string_view line : Split(mounts, '\n')) {
      const auto words = Split(line, ' ');
      if (words.size() < 3 || words[2] != "cgroup2") continue;
      path_ = fmt::format("{}/pyro-test-{}", words[1], ::getpid());
      made_ = ::mkdir(path_.c_str(), 0755) == 0;
    }
  }
  TestCgroup(const TestCgroup&) = delete;
  TestCgroup& operator=(const TestCgroup&) = delete;
  ~TestCgroup() {
    if (made_) ::rmdir(path_.c_str());
  }
  bool made() const { return made_; }
  std::string name() const { return path_.substr(path_.rfind('/') + 1); }
  UniqueFd Open() const { return *OpenFile(path_, O_RDONLY | O_DIRECTORY); }

 private:
  std::string path_;
  bool made_ = false;
};

TEST(ChildProcessTest, BeginsInItsCgroupWithSignalsAndDescriptorsAsAnyOtherChild) {
  const TestCgroup cgroup;
  if (!cgroup.made()) GTEST_SKIP() << "this user cannot make a cgroup of version 2";
  const UniqueFd directory = cgroup.Open();
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  const std::string signals = "grep -E 'Sig(Blk|Ign)' /proc/self/status";
  const auto other = RunCommand(Shell(signals), Soon());
  SpawnOptions options =
      Shell("grep ^0:: /proc/self/cgroup; " + signals + "; echo x >&2; ls /proc/self/fd; exit 7");
  options.cgroup_fd = directory.get();
  const auto output = RunCommand(std::move(options), Soon());
  SpawnOptions missing;
  missing.argv = {"/no/such/program"};
  missing.cgroup_fd = directory.get();
  const auto failed = ChildProcess::Spawn(std::move(missing));
  SpawnOptions nowhere = Shell("true");
  nowhere.cwd = "/no/such/directory";
  nowhere.cgroup_fd = directory.get();
  const auto lost = ChildProcess::Spawn(std::move(nowhere));
  EXPECT_EQ(::signal(SIGPIPE, before), SIG_IGN) << "the child has changed its parent";
  ASSERT_TRUE(output.ok()) << output.error().message;
  EXPECT_EQ(output->status.code, 7);
  EXPECT_EQ(output->stdout_text.find("0::"), 0u);
  ASSERT_TRUE(other.ok()) << other.error().message;
  EXPECT_NE(output->stdout_text.find(cgroup.name() + "\n" + other->stdout_text + "0\n1\n2\n"),
            std::string::npos)
      << output->stdout_text << other->stdout_text;
  EXPECT_EQ(output->stderr_text, "x\n");
  EXPECT_EQ(failed.error().sys_errno, ENOENT);
  EXPECT_EQ(lost.error().code, ErrorCode::kNotFound);
}

TEST(ChildProcessTest, SearchesThePathOfTheNewEnvironment) {
  SpawnOptions options;
  options.argv = {"sh", "-c", "echo $0"};
  options.env = {"PATH=/nowhere:/bin"};
  options.search_path = true;
  auto output = RunCommand(std::move(options), Soon());
  ASSERT_TRUE(output.ok());
  EXPECT_EQ(output->stdout_text, "sh\n");
  SpawnOptions empty;
  empty.argv = {"sh"};
  empty.env = {"PATH=/nowhere"};
  empty.search_path = true;
  EXPECT_EQ(ChildProcess::Spawn(std::move(empty)).error().sys_errno, ENOENT);
}

TEST(ChildProcessTest, RunsAScriptWithoutInterpreterLine) {
  char path[] = "/tmp/pyro-script-XXXXXX";
  {
    const UniqueFd fd(::mkostemp(path, O_CLOEXEC));
    ASSERT_TRUE(WriteAll(fd.get(), "echo \"got $1\"\n").ok());
    ASSERT_EQ(::fchmod(fd.get(), 0700), 0);
  }
  SpawnOptions options;
  options.argv = {path, "a b"};
  auto output = RunCommand(std::move(options), Soon());
  ::unlink(path);
  ASSERT_TRUE(output.ok()) << output.error().message;
  EXPECT_EQ(output->stdout_text, "got a b\n");
}

TEST(ChildProcessTest, DestructorKillsTheWholeGroup) {
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  SpawnOptions options = Shell("sleep 1000 & echo started; sleep 1000");
  options.stdout_fd = std::move(pipe->write);
  {
    auto child = ChildProcess::Spawn(std::move(options));
    ASSERT_TRUE(child.ok());
    char buffer[16];
    ASSERT_EQ(::read(pipe->read.get(), buffer, sizeof buffer), 8);
  }
  // End of file comes only when the background process, which holds the pipe too, is dead.
  EXPECT_EQ(*ReadAll(pipe->read.get(), 100), "");
}

TEST(ChildProcessTest, WaitTimesOutAndCanBeRepeated) {
  auto child = ChildProcess::Spawn(Shell("exec sleep 1000"));
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child->Wait(Deadline::After(std::chrono::milliseconds(1))).error().code,
            ErrorCode::kTimedOut);
  ASSERT_TRUE(child->Signal(SIGTERM).ok());
  EXPECT_EQ(child->Wait(Soon())->code, SIGTERM);
  EXPECT_EQ(child->Wait(Soon())->code, SIGTERM);
  EXPECT_TRUE(child->Signal(SIGKILL).ok());
}

TEST(ChildProcessTest, RunCommandKillsAtTheDeadline) {
  auto output = RunCommand(Shell("sleep 1000"), Deadline::After(std::chrono::milliseconds(50)));
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().code, ErrorCode::kTimedOut);
}

TEST(ChildProcessTest, RunCommandCanBeCancelledWhetherTheToolStillPrintsOrNot) {
  for (const char* script : {"sleep 1000", "exec >&- 2>&-; sleep 1000"}) {
    const Pipe cancel = *MakePipe();
    ASSERT_TRUE(WriteAll(cancel.write.get(), "x").ok());
    auto output = RunCommand(Shell(script), Deadline::Never(), 1000, cancel.read.get());
    ASSERT_FALSE(output.ok());
    EXPECT_EQ(output.error().code, ErrorCode::kCancelled);
  }
}

TEST(ChildProcessTest, RunCommandBoundsWhatItKeeps) {
  auto output = RunCommand(Shell("head -c 1000000 /dev/zero; echo end >&2"), Soon(), 1000);
  ASSERT_TRUE(output.ok());
  EXPECT_EQ(output->stdout_text.size(), 1000u);
  EXPECT_EQ(output->stderr_text, "end\n");
}

TEST(ChildProcessTest, ChangesUserCompletely) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  SpawnOptions options = Shell("grep -E '^(Uid|Gid|Groups):' /proc/self/status");
  options.credentials = Credentials{61200, 61201, {61202}};
  auto output = RunCommand(std::move(options), Soon());
  ASSERT_TRUE(output.ok()) << output.error().message;
  EXPECT_EQ(
      output->stdout_text,
      "Uid:\t61200\t61200\t61200\t61200\nGid:\t61201\t61201\t61201\t61201\nGroups:\t61202 \n");
}

TEST(ChildProcessTest, StandsBackForOthersAsAProcessAndAsASession) {
  const int own = ::getpriority(PRIO_PROCESS, 0);
  SpawnOptions options = Shell("nice; cat /proc/self/autogroup 2>/dev/null || true");
  options.niceness = std::min(own + 3, 19);
  const std::string wanted = std::to_string(options.niceness);
  auto output = RunCommand(std::move(options), Soon());
  ASSERT_TRUE(output.ok()) << output.error().message;
  const std::string_view text = output->stdout_text;
  EXPECT_TRUE(text.starts_with(wanted + "\n")) << text;
  // The kernel takes such a change from users other than root ten times in a second alone.
  if (::geteuid() == 0 && text.find("/autogroup") != std::string_view::npos) {
    EXPECT_TRUE(text.ends_with("nice " + wanted + "\n")) << text;
  }
}

TEST(ChildProcessTest, ChildDiesWithItsParent) {
  for (const bool other_user : {false, true}) {
    if (other_user && ::geteuid() != 0) continue;
    auto pipe = MakePipe();
    ASSERT_TRUE(pipe.ok());
    const pid_t parent = ::fork();
    if (parent == 0) {
      SpawnOptions options = Shell("echo started; exec sleep 1000");
      options.stdout_fd = std::move(pipe->write);
      if (other_user) options.credentials = Credentials{61200, 61200, {}};
      auto child = ChildProcess::Spawn(std::move(options));
      ::pause();
    }
    pipe->write.Reset();
    char buffer[16];
    ASSERT_EQ(::read(pipe->read.get(), buffer, sizeof buffer), 8);
    ::kill(parent, SIGKILL);
    EXPECT_EQ(*ReadAll(pipe->read.get(), 100), "");
    int status = 0;
    ::waitpid(parent, &status, 0);
  }
}

TEST(FindProgramTest, FindsSystemToolsAndNamesWhatIsMissing) {
  EXPECT_TRUE(FindProgram("sh", "").ok());
  auto missing = FindProgram("no-such-tool-of-pyro", "apt install it");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kMissingTool);
  EXPECT_EQ(missing.error().hint, "apt install it");
}

}  // namespace
}  // namespace pyro::sys
