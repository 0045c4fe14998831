#include "sys/process_state.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "sys/child_process.h"
#include "sys/errno_error.h"

namespace pyro::sys {
namespace {

// Runs `check` in a process of its own, whose state it may change. It tells by its exit code which
// of its expectations failed; 0: none.
int InChild(const std::function<int()>& check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

rlim_t Soft(__rlimit_resource resource) {
  rlimit limit{};
  ::getrlimit(resource, &limit);
  return limit.rlim_cur;
}

void SetLimit(__rlimit_resource resource, rlim_t soft, rlim_t hard) {
  const rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
  ::setrlimit(resource, &limit);
}

bool Ignored(int signo) {
  struct sigaction action {};
  return ::sigaction(signo, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

TEST(ProcessStateTest, AProgramLearnsHowItsChildrenEndAlthoughItInheritedSigchldIgnored) {
  EXPECT_EQ(InChild([] {
              ::signal(SIGCHLD, SIG_IGN);
              SpawnOptions options;
              options.argv = {"/bin/sh", "-c", "exit 7"};
              const auto refused = RunCommand({.argv = options.argv, .env = {}}, Deadline::Never());
              if (refused || refused.error().code != ErrorCode::kWrongState) return 1;
              if (refused.error().message.find("SIGCHLD") == std::string::npos) return 2;
              PrepareProgram();
              const auto ran = RunCommand(std::move(options), Deadline::Never());
              return ran && ran->status.code == 7 ? 0 : 3;
            }),
            0);
}

TEST(ProcessStateTest, ChildrenThatLeaveNoExitStatusAreRefusedToo) {
  EXPECT_EQ(InChild([] {
              struct sigaction action {};
              action.sa_handler = SIG_DFL;
              action.sa_flags = SA_NOCLDWAIT;
              ::sigaction(SIGCHLD, &action, nullptr);
              if (RunCommand({.argv = {"/bin/true"}, .env = {}}, Deadline::Never())) return 1;
              PrepareHostProcess();
              return RunCommand({.argv = {"/bin/true"}, .env = {}}, Deadline::Never()) ? 0 : 2;
            }),
            0);
}

TEST(ProcessStateTest, AProgramBlocksNoSignalAndDiesOfNoFullFile) {
  EXPECT_EQ(InChild([] {
              sigset_t all;
              sigfillset(&all);
              ::sigprocmask(SIG_SETMASK, &all, nullptr);
              ::signal(SIGINT, SIG_IGN);
              ::signal(SIGPIPE, SIG_DFL);
              ::signal(SIGXFSZ, SIG_DFL);
              PrepareProgram();
              sigset_t now;
              ::sigprocmask(SIG_SETMASK, nullptr, &now);
              for (int signo = 1; signo < SIGRTMIN; ++signo) {
                if (sigismember(&now, signo) == 1) return 1;
              }
              if (!Ignored(SIGPIPE) || !Ignored(SIGXFSZ)) return 2;
              return Ignored(SIGINT) ? 0 : 3;  // As nohup and a shell's background want it.
            }),
            0);
}

TEST(ProcessStateTest, AHostProcessKeepsItsHandlersMaskAndUmask) {
  EXPECT_EQ(InChild([] {
              const auto handler = [](int) {};
              ::signal(SIGXFSZ, handler);
              ::signal(SIGCHLD, handler);
              ::umask(0777);
              sigset_t some;
              sigemptyset(&some);
              sigaddset(&some, SIGUSR1);
              ::sigprocmask(SIG_SETMASK, &some, nullptr);
              SetLimit(RLIMIT_FSIZE, 1 << 20, RLIM_INFINITY);
              PrepareHostProcess();
              struct sigaction action {};
              ::sigaction(SIGXFSZ, nullptr, &action);
              if (action.sa_handler != static_cast<void (*)(int)>(handler)) return 1;
              ::sigaction(SIGCHLD, nullptr, &action);
              if (action.sa_handler != static_cast<void (*)(int)>(handler)) return 2;
              sigset_t now;
              ::sigprocmask(SIG_SETMASK, nullptr, &now);
              if (sigismember(&now, SIGUSR1) != 1) return 3;
              if (::umask(0) != 0777) return 4;
              return Soft(RLIMIT_FSIZE) == 1 << 20 ? 0 : 5;
            }),
            0);
}

TEST(ProcessStateTest, ACrashLeavesNoMemoryBehindWhereThatIsForbidden) {
  EXPECT_EQ(InChild([] {
              SetLimit(RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY);
              ForbidCore();
              const pid_t crashed = ::fork();
              if (crashed == 0) ::abort();
              int status = 0;
              if (::waitpid(crashed, &status, 0) != crashed || !WIFSIGNALED(status)) return 1;
              return WCOREDUMP(status) ? 2 : 0;
            }),
            0);
}

TEST(ProcessStateTest, SoftLimitsAreRaisedAndHardOnesKept) {
  EXPECT_EQ(InChild([] {
              SetLimit(RLIMIT_NOFILE, 32, 2000);
              SetLimit(RLIMIT_FSIZE, 1000, 1 << 30);
              SetLimit(RLIMIT_STACK, 128 << 10, RLIM_INFINITY);
              PrepareProgram();
              if (Soft(RLIMIT_NOFILE) != 2000) return 1;
              if (Soft(RLIMIT_FSIZE) != 1 << 30) return 2;
              if (Soft(RLIMIT_STACK) != 8 << 20) return 3;
              pthread_attr_t attributes;
              std::size_t bytes = 0;
              ::pthread_getattr_default_np(&attributes);
              ::pthread_attr_getstacksize(&attributes, &bytes);
              return bytes >= 8 << 20 ? 0 : 4;
            }),
            0);
}

TEST(ProcessStateTest, AHardLimitTooLowIsNamed) {
  EXPECT_EQ(InChild([] {
              if (!CheckOpenFiles()) return 1;
              SetLimit(RLIMIT_NOFILE, 32, 32);
              const Status files = CheckOpenFiles();
              if (files || files.error().code != ErrorCode::kLimit) return 2;
              return files.error().hint.find("ulimit -n") != std::string::npos ? 0 : 3;
            }),
            0);
  EXPECT_EQ(InChild([] {
              if (!CheckGuestLimits({.memory_mib = 1024, .file_bytes = 1 << 30})) return 1;
              SetLimit(RLIMIT_FSIZE, 1 << 20, 1 << 20);
              const Status size = CheckGuestLimits({.memory_mib = 1024, .file_bytes = 1 << 30});
              if (size || size.error().message.find("1024 KiB (ulimit -f)") == std::string::npos) {
                return 2;
              }
              return size.error().hint.find("ulimit -f") != std::string::npos ? 0 : 3;
            }),
            0);
  EXPECT_EQ(InChild([] {
              SetLimit(RLIMIT_NPROC, 8, 8);
              const Status processes = CheckGuestLimits({});
              return !processes && processes.error().hint.find("ulimit -u") != std::string::npos;
            }),
            1);
}

TEST(ProcessStateTest, ClosedStandardDescriptorsTakeNoFileOfOurs) {
  EXPECT_EQ(InChild([] {
              for (const int fd : {0, 1, 2}) ::close(fd);
              PrepareProgram();
              const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
              if (next <= 2) return 1;
              const bool readable = ::read(STDIN_FILENO, nullptr, 0) == 0;
              const bool lost = ::write(STDOUT_FILENO, "x", 1) == -1 && errno == EBADF;
              return readable && lost && ::write(STDERR_FILENO, "x", 1) == 1 ? 0 : 2;
            }),
            0);
}

TEST(ProcessStateTest, TheOwnerCanUseWhatItMakesUnderAnyUmask) {
  EXPECT_EQ(InChild([] {
              ::umask(0777);
              PrepareProgram();
              return ::umask(0) == 077 ? 0 : 1;
            }),
            0);
}

TEST(ProcessStateTest, AFileThatMayNotGrowIsNoFullDisk) {
  EXPECT_EQ(InChild([] {
              SetLimit(RLIMIT_FSIZE, 2 << 20, 2 << 20);
              const Error error = ErrnoError(EFBIG, "write", "file");
              if (error.hint.find("disk space") != std::string::npos) return 1;
              return error.hint.find("2048 KiB (ulimit -f)") != std::string::npos ? 0 : 2;
            }),
            0);
}

TEST(ProcessStateTest, RootOfTheHostMayBecomeTheJailsUsers) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  EXPECT_EQ(IsFullRoot(), RootMayBecomeOthers());
  EXPECT_FALSE(IsFullRoot() && IsRootWithoutOthers());
}

}  // namespace
}  // namespace pyro::sys
